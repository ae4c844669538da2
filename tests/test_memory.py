"""What memory is free, and what is read into it."""

import resource

import pyarrow as pa
import pyarrow.parquet
import pytest

from divmix import memory
from divmix.errors import InputError
from divmix.tables import reading
from divmix.tables.reading import open_table


def test_free_memory_is_that_of_machine_or_container(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    alone = memory.available()
    assert alone is None or alone > 10_000_000
    for name, text in (("max", "9000"), ("current", "5000"), ("stat", "inactive_file 500\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory.available() == 4500
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._of_group() is None


def test_a_limit_of_address_space_counts(monkeypatch):
    machine = memory.available()
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1 << 50, 1 << 50))
    assert memory._of_process() > 1 << 49
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (4096, 4096))
    assert memory.available() == 0 != machine


def test_a_table_beyond_the_memory_there_is_is_refused_while_it_is_read(tmp_path, monkeypatch):
    """A pipe tells nothing of its length, so it is seen while rows come."""
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pa.table({"a": [0.5] * 1000}), path, row_group_size=100)
    assert open_table([path]).read().num_rows == 1000
    monkeypatch.setattr(reading, "LOOK_EVERY", 1000)  # bytes
    assert open_table([path]).read().num_rows == 1000
    monkeypatch.setattr(memory, "available", lambda: 0)
    with pytest.raises(InputError, match=r"t\.parquet does not fit into memory: [\d,]+ rows"):
        open_table([path]).read()
