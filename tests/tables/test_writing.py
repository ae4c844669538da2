"""A file appears whole or not at all, and holds what was written."""

import io
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from divmix.errors import OutputError
from divmix.tables import arrays, writing
from divmix.tables.reading import open_table
from divmix.tables.writing import TABLE_SUFFIXES, TableWriter, atomic_file, write_json

BATCH = pa.record_batch({"row": [0, 1, 2], "x": [0.1, 1e-300, 2 / 3], "city": ["a", 'b"', "é,"]})


def write(path, batches=1, **options):
    with TableWriter(path, BATCH.schema, **options) as writer:
        for _ in range(batches):
            writer.write(BATCH)


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_every_format_reads_back_as_written(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    write(path, batches=3)
    found = open_table([path]).read()
    assert found.to_pydict() == pa.Table.from_batches([BATCH] * 3).to_pydict()
    assert os.listdir(tmp_path) == [path.name]


def test_csv_header_has_no_quotes_it_does_not_need(tmp_path):
    schema = pa.schema([("row", pa.int64()), ("a,b", pa.int64()), ('say "x"', pa.int64())])
    with TableWriter(tmp_path / "t.csv", schema):
        pass
    assert (tmp_path / "t.csv").read_text() == 'row,"a,b","say ""x"""\n'


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_floats_survive_csv_exactly(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("floats") / "t.csv"
    batch = pa.record_batch({"x": arrays.floats(np.array(values))})
    with TableWriter(path, batch.schema) as writer:
        writer.write(batch)
    assert open_table([path], number_columns=["x"]).read()["x"].to_pylist() == values


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_a_failure_leaves_nothing_behind(tmp_path, suffix):
    with pytest.raises(RuntimeError), TableWriter(tmp_path / f"t{suffix}", BATCH.schema) as writer:
        writer.write(BATCH)
        raise RuntimeError
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_the_old_file_as_it_was(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path, overwrite=True) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_text() == "old"


def test_a_kill_leaves_no_half_file_under_the_final_name(tmp_path):
    path = tmp_path / "t.csv"
    program = f"""
import sys, time
from divmix.tables.writing import atomic_file
with atomic_file({str(path)!r}) as file:
    file.write(b"half"); file.flush()
    print("written", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not path.exists()
    write_json(path, {"whole": True})
    assert json.loads(path.read_text()) == {"whole": True}


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path, suffix):
    program = f"""
import resource, os
import numpy as np, pyarrow as pa
from divmix.errors import OutputError
from divmix.tables import arrays
from divmix.tables.writing import TableWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
batch = pa.record_batch([arrays.floats(np.random.default_rng(0).random(50_000))], names=["x"])
try:
    with TableWriter({str(tmp_path)!r} + "/t{suffix}", batch.schema) as writer:
        writer.write(batch)
except OutputError as error:
    print(error, os.listdir({str(tmp_path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == f"{tmp_path}/t{suffix} cannot be written: File too large []\n"
    assert done.stderr == ""


def test_a_closed_pipe_is_a_broken_pipe_error():
    program = """
import sys
import numpy as np, pyarrow as pa
from divmix.tables import arrays
from divmix.tables.writing import TableWriter
batch = pa.record_batch([arrays.floats(np.zeros(50_000))], names=["x"])
try:
    with TableWriter("-", batch.schema) as writer:
        for _ in range(100):
            writer.write(batch)
except BrokenPipeError:
    sys.stderr.write("broken pipe")
    sys.stderr.flush()
    import os; os._exit(0)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"x\n"
    process.stdout.close()
    assert process.stderr.read() == b"broken pipe"
    assert process.wait() == 0


def test_existing_file_is_refused_without_overwrite(tmp_path):
    path = tmp_path / "t.csv"
    write(path)
    with pytest.raises(OutputError, match=r"t\.csv exists already") as failure:
        write(path)
    assert "--force" in failure.value.hint
    write(path, batches=2, overwrite=True)
    assert open_table([path]).read().num_rows == 6


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.xlsx", "unknown kind of table"),
        ("none/t.csv", "there is no folder"),
        ("folder.csv", "is a folder"),
    ],
)
def test_output_that_cannot_be_is_refused(tmp_path, name, message):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match=message):
        write(tmp_path / name)
    assert os.listdir(tmp_path) == ["folder.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder_is_an_output_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written: Permission denied"):
        write(tmp_path / "t.csv")


def test_new_file_has_the_mode_that_the_umask_gives(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "t.csv")
    finally:
        os.umask(before)
    assert (tmp_path / "t.csv").stat().st_mode & 0o777 == 0o640


def test_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    write(tmp_path / "link.csv", overwrite=True)
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text().startswith("row,x,city")


def test_device_is_written_as_it_is():
    with atomic_file("/dev/null") as file:
        file.write(b"gone")
    assert not os.path.isfile("/dev/null")


def test_json_takes_numpy_values_and_refuses_nan(tmp_path):
    write_json(tmp_path / "a.json", {"n": np.int64(3), "x": np.array([0.1, 2.0])})
    assert json.loads((tmp_path / "a.json").read_text()) == {"n": 3, "x": [0.1, 2.0]}
    with pytest.raises(ValueError):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("to", ["parquet", "arrow", "csv"])
def test_bytes_that_no_terminal_shows_are_not_sent_to_one(monkeypatch, to):
    written = io.BytesIO()
    stdout = SimpleNamespace(buffer=written, isatty=lambda: True, flush=lambda: None)
    monkeypatch.setattr(writing, "sys", SimpleNamespace(stdout=stdout))
    writer = TableWriter("-", pa.schema([("a", pa.int64())]), to=to)
    if to == "csv":
        with writer:
            assert written.getvalue() == b"a\n"
    else:
        with pytest.raises(OutputError, match="a terminal cannot show"), writer:
            pass
        assert not written.getvalue()
