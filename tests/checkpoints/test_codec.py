"""A checkpoint gives back the bits that were put in, and is made of nothing else."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pytest

from divmix.checkpoints.checkpoint_file import (
    Checkpoint,
    Owner,
    read_checkpoint,
    write_checkpoint,
)
from divmix.checkpoints.codec import RECORDS, Packed, pack, unpack
from divmix.core import fit_rows
from divmix.engine.checkpoint import Journal, Standing
from divmix.engine.loop import Climb, Walk
from divmix.engine.monitor import Monitor
from divmix.engine.state import State
from divmix.errors import CheckpointError
from divmix.families import Components
from divmix.particles.optimizers import Memory
from divmix.progress import TraceRow
from divmix.settings import DiversifiedSettings, EmSettings
from divmix.tables.archive import write_archive

PAGE = Path(__file__).parents[2] / "docs" / "checkpoint-format.md"
OWNER = Owner("0.1.0", "ab" * 32, EmSettings(clusters=3).to_dict())


def entries():
    generator = np.random.default_rng(3)
    components = Components(
        np.array([0.25, 0.75]), generator.normal(size=(2, 3)), np.ones((2, 3, 3))
    )
    memory = Memory(generator.normal(size=(2, 3)), np.full((2, 3), 1e-300), 7)
    walk = Walk(components, memory, np.array([-3.0, -2.0]), copy.deepcopy(generator), 500)
    row = TraceRow(0, "refine", 2, -3.25, 0.1, -3.2, 0.0, 1.5, 0.03, 0.0, 1.1, 300)
    rows = (row, row._replace(iteration=1, phase="relax", step=np.float64(0.5), gap=0.125))
    return {
        "clusters": (3, "3 clusters have the lowest BIC"),
        "alpha": (0.1, "full", "kl", ("one", "two")),
        "start 0": Standing(State(generator, components, climb=walk), rows),
        "start 1": Standing(
            State(generator, climb=Climb(components, True, False, False, False, 2.25, 3, 50)), ()
        ),
        "resample 0": (np.array([np.nan, 0.5]), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        "odd": (None, True, float("inf"), np.int64(4), np.zeros((0, 2)), np.array([True, False])),
    }


def written(folder, change=lambda value: value):
    path = folder / "checkpoint.divmix"
    packed = pack(entries())
    document = {
        "format": 1,
        "divmix": OWNER.version,
        "sha256": OWNER.sha256,
        "settings": OWNER.settings,
        "elapsed": 2.5,
        "entries": packed.value,
    }
    write_archive(
        path, "checkpoint.json", change(document), change(dict(packed.arrays)), overwrite=True
    )
    return path


def equal(one, two):
    if isinstance(one, np.ndarray):
        same = one.dtype == two.dtype and one.tobytes("A") == two.tobytes("A")
        return same and one.flags.f_contiguous == two.flags.f_contiguous
    if isinstance(one, np.random.Generator):
        return one.bit_generator.state == two.bit_generator.state
    if isinstance(one, dict):
        return list(one) == list(two) and all(equal(one[name], two[name]) for name in one)
    if isinstance(one, tuple):
        same = type(one) is type(two) and len(one) == len(two)
        return same and all(map(equal, one, two))
    return one == two or (one != one and two != two)


def test_what_is_written_is_read_to_the_bit(tmp_path):
    path = tmp_path / "checkpoint.divmix"
    write_checkpoint(path, OWNER, Checkpoint(entries(), 2.5))
    found = read_checkpoint(path, OWNER)
    assert equal(entries(), found.entries) and found.elapsed == 2.5
    assert b"pickle" not in path.read_bytes()


def test_what_is_no_part_of_a_fit_is_not_written():
    for odd in (object(), {1, 2}, np.zeros(2, object), [1], print, Path()):
        with pytest.raises(TypeError, match="a checkpoint holds no"):
            pack({"odd": odd})


@pytest.mark.parametrize(
    "change",
    [
        lambda value: {"record": "Path", "fields": {}},
        lambda value: {"record": "State", "fields": {}},
        lambda value: value | {"other": 1},
        lambda value: {"float": "1e999"},
        lambda value: {"generator": {"bit_generator": "MT19937"}},
        lambda value: {"array": "float64", "at": 0, "shape": [10**12], "by_columns": False},
        lambda value: {"array": "float64", "at": -1, "shape": [1], "by_columns": False},
        lambda value: {"array": "object", "at": 0, "shape": [1], "by_columns": False},
        lambda value: {"trace": {}, "phases": []},
    ],
)
def test_a_value_of_another_make_is_refused(change):
    packed = pack({"start": entries()["start 0"]})
    value = change(packed.value["entries"]["start"])
    with pytest.raises(ValueError):
        unpack(Packed(value, packed.arrays))


@pytest.mark.parametrize(
    "field, value",
    [
        ("weights", np.ones(3)),
        ("means", np.ones(2)),
        ("covariances", np.ones((2, 4, 4))),
        ("covariances", np.full((2, 3, 3), np.inf)),
        ("dof", np.ones(5)),
    ],
)
def test_components_whose_parts_do_not_belong_together_are_refused(field, value):
    components = entries()["start 0"].state.components
    with pytest.raises(ValueError):
        unpack(pack(components._replace(**{field: value})))


def test_components_of_other_columns_do_not_reach_a_kernel():
    own = EmSettings(clusters=2, covariance="full", max_iter=3)
    journal = Journal()
    fit_rows(np.random.default_rng(0).normal(size=(50, 3)), own, Monitor(journal=journal))
    with pytest.raises(CheckpointError, match="other columns"):
        other = Monitor(journal=Journal(journal.entries))
        fit_rows(np.random.default_rng(0).normal(size=(50, 4)), own, other)
    own, journal = DiversifiedSettings(clusters=2, covariance="full"), Journal()
    fit_rows(np.random.default_rng(0).normal(size=(50, 3)), own, Monitor(journal=journal))
    looked = {"outliers": journal.entries["outliers"]}
    with pytest.raises(CheckpointError, match="other columns"):
        other = Monitor(journal=Journal(looked))
        fit_rows(np.random.default_rng(0).normal(size=(50, 4)), own, other)
    way = looked["outliers"].way
    with pytest.raises(ValueError, match="another type"):
        unpack(pack(way._replace(levels=(*way.levels, 1.0))))
    standing = entries()["start 0"]
    climb = entries()["start 1"].state.climb
    small = climb._replace(components=climb.components._replace(covariances=np.ones((2, 3))))
    with pytest.raises(ValueError, match="different kinds"):
        unpack(pack(standing._replace(state=standing.state._replace(climb=small))))


def test_a_flip_of_any_byte_is_told(tmp_path):
    path = written(tmp_path)
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(len(content), size=200):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(place % 8)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=str(path)):
            read_checkpoint(path, OWNER)


def test_a_file_cut_anywhere_is_told(tmp_path):
    path = written(tmp_path)
    content = path.read_bytes()
    for percent in range(0, 100, 7):
        path.write_bytes(content[: len(content) * percent // 100])
        with pytest.raises(CheckpointError, match="damaged"):
            read_checkpoint(path, OWNER)


@pytest.mark.parametrize(
    "owner, told",
    [
        (OWNER._replace(version="9.9.9"), "written by divmix 0.1.0, this is 9.9.9"),
        (OWNER._replace(sha256="cd" * 32), "the data are others"),
        (
            OWNER._replace(settings=EmSettings(clusters=4, seed=1).to_dict()),
            "clusters was 3 and is 4; seed was 0 and is 1",
        ),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_by_its_difference(tmp_path, owner, told):
    path = written(tmp_path)
    with pytest.raises(CheckpointError, match=re.escape(told)):
        read_checkpoint(path, owner)


def test_the_page_tells_all_records_and_their_fields():
    text = PAGE.read_text()
    for name, record in RECORDS.items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert re.findall(r"`(\w+)`", line.split("|")[2]) == list(record._fields), name
    document = json.loads(json.dumps({"format": 1}))
    assert f"format {document['format']}" in text
