"""What files that others made cannot do."""

import os
import subprocess
import sys

import pyarrow as pa
import pytest

from divmix.cli.signals import terminate_raises  # noqa: F401  the module is loaded before hooks
from divmix.tables.writing import TableWriter
from tests.cli.helpers import ROOT
from tests.ugly import commands, made

# Runs a command and prints what it did that executes something, or reaches out.
WATCHED = """
import sys
seen = []
def of_kernel_cache(frame):
    while frame is not None:
        if frame.f_code.co_filename.endswith(("numba/core/caching.py", "numba/core/serialize.py")):
            return True
        frame = frame.f_back
    return False
def hook(event, args):
    if event.startswith(("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn",
                         "socket.connect", "socket.bind", "pickle.find_class", "marshal.load")):
        # Modules of Python are loaded by marshal, machine code of the kernel cache by pickle.
        if event != "marshal.loads" and not of_kernel_cache(sys._getframe(1)):
            seen.append(event)
    if event == "open" and "/divmix/kernels-" not in str(args[0]) and isinstance(args[0], str) and args[1] and set(args[1]) & set("wax"):
        seen.append("writes " + args[0])
sys.addaudithook(hook)
from divmix.cli.main import cli
try:
    cli(sys.argv[1:])
finally:
    print(seen, "numba" in sys.modules, file=sys.stderr)
"""


def test_predict_loads_no_pickle_runs_no_program_and_writes_nothing(tmp_path):
    import pyarrow.csv

    made.model("mixed-gaussian-full").save(tmp_path / "model.divmix")
    pyarrow.csv.write_csv(made.table(), tmp_path / "table.csv")
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "predict", "model.divmix", "table.csv"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 31
    assert done.stderr.splitlines()[-1].startswith("[]"), done.stderr


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_formulas_are_disarmed_on_demand(tmp_path, suffix):
    texts = ["=cmd()", "+1+cmd()", "-x", "-1.5e3", "@x", "\tx", "plain", "1=1", None]
    batch = pa.record_batch({"=name": texts, "number": [-1.0] * 9})
    path = tmp_path / f"table{suffix}"
    with TableWriter(path, batch.schema, csv_safe=True) as writer:
        writer.write(batch)
    if suffix == ".parquet":
        assert pa.parquet.read_table(path).column("=name").to_pylist() == texts
        return
    read = pa.csv.read_csv(path).to_pydict()
    disarmed = ["'=cmd()", "'+1+cmd()", "'-x", "-1.5e3", "'@x", "'\tx", "plain", "1=1", ""]
    assert read["'=name"] == disarmed  # a number as it was written is no formula
    assert read["number"] == [-1.0] * 9


def test_sample_disarms_categories(tmp_path):
    made.model("mixed-gaussian-full").save(tmp_path / "model.divmix")
    _, plain, _ = commands.run("sample", tmp_path / "model.divmix", "-n", 50)
    _, safe, _ = commands.run("sample", tmp_path / "model.divmix", "-n", 50, "--csv-safe")
    assert '"=1+1"' in plain and '"=1+1"' not in safe
    assert safe.replace('"\'=1+1"', '"=1+1"') == plain


def test_a_name_cannot_steer_the_terminal(tmp_path):
    (tmp_path / "table.csv").write_text("x,\x1b[2Jy\n1,a\n2,\x1b]0;b\x07\n3,\n")
    code, _, err = commands.run("fit", tmp_path / "table.csv", "-k", 1, "--exclude", "\x1b[2J")
    assert code == 3 and "\x1b" not in err
