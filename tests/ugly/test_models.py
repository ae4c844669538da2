"""A model that somebody has changed and sealed again works or is refused in two lines."""

import copy
import io
import random

import numpy as np
import pyarrow.csv
import pytest

from tests.ugly import commands, made

VALUES = (
    None, True, False, 0, 1, -1, 3, 10**30, 0.5, -2.5, 1e308, -1e308, 5e-324, 1e-200, float("nan"),
    float("inf"), "", "x", "odd", "\ud800", "\x1b[2J", "a" * 3000, [], [1], ["x", "x"], {}, {"a": 1},
)  # fmt: skip
NUMBERS = (0.0, -0.0, -1.0, 1.0, 2.0, 1e-320, 1e-150, 1e150, 1e300, -1e300, np.nan, np.inf, -np.inf)
DTYPES = ("f4", "i8", "u1", "?", ">f8", "f2", "i4")


def places(document, path=()):
    """Paths of all entries of a document."""
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in inside:
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from places(value, (*path, name))


def change_document(document, dice):
    path = dice.choice([*places(document)])
    holder = document
    for name in path[:-1]:
        holder = holder[name]
    action = dice.random()
    if action < 0.15:
        del holder[path[-1]]
    elif action < 0.2 and isinstance(holder, dict):
        holder["extra"] = dice.choice(VALUES)
    elif action < 0.3 and isinstance(holder[path[-1]], int | float):
        holder[path[-1]] *= dice.choice((-1, 2, 1e-300, 1e200, 1 + 1e-9))
    else:
        holder[path[-1]] = copy.deepcopy(dice.choice(VALUES))


def change_array(content, dice):
    if dice.random() < 0.1:  # the header or the length
        changed = bytearray(content)
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
        return bytes(changed[: dice.choice((len(changed), len(changed) - 1))])
    try:
        array = np.load(io.BytesIO(content))
    except Exception:  # an earlier change has broken it
        return content
    action = dice.randrange(5)
    if action == 0 and array.size:
        flat = array.reshape(-1)
        with np.errstate(all="ignore"):
            flat[dice.randrange(array.size)] = np.array(dice.choice(NUMBERS)).astype(array.dtype)
    elif action == 1:
        with np.errstate(all="ignore"):
            array = array * dice.choice((-1.0, 0.0, 1e-200, 1e200, 1.5))
    elif action == 2:
        with np.errstate(all="ignore"):
            array = array.astype(dice.choice(DTYPES))
    elif action == 3:
        array = dice.choice(
            (array[:0], array[:1], np.concatenate([array, array]), array[None], array.T)
        )
    elif array.size:
        array = np.full_like(array, dice.choice((0, 1, 2)))
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def mutant(document, arrays, dice):
    """The bytes of a model with one to three changes."""
    document, arrays = copy.deepcopy(document), dict(arrays)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        if dice.random() < 0.5 and document:
            change_document(document, dice)
        elif dice.random() < 0.95 and arrays:
            name = dice.choice(sorted(arrays))
            arrays[name] = change_array(arrays[name], dice)
        elif arrays:
            name = dice.choice(sorted(arrays))
            arrays[dice.choice(("more.npy", "noise_means.npy", "../x.npy"))] = arrays.pop(name)
    if dice.random() < 0.7:
        document["arrays"] = sorted(name.removesuffix(".npy") for name in arrays)
    return made.sealed(document, arrays)


def check(folder, count, seed):
    """Try `count` mutants with each command in turn; returns how many of them still work."""
    dice, works = random.Random(seed), 0
    data, path = folder / "table.csv", folder / "model.divmix"
    pyarrow.csv.write_csv(made.table(), data)
    originals = []
    for kind in made.KINDS:
        made.model(kind).save(folder / kind)
        originals.append(made.parts((folder / kind).read_bytes()))
    calls = (
        ("predict", path, data, "--probabilities"),
        ("describe", path),
        ("sample", path, "-n", 3),
        ("describe", path, "--json"),
        ("detect", data, "--model", path, "--threshold", "0.9"),
        ("cut", path, "-k", 2, "-o", folder / "cut", "--force"),
    )
    for number in range(count):
        path.write_bytes(mutant(*dice.choice(originals), dice))
        call = dice.choice(calls)
        code, out, err = commands.run(*call)
        wrong = commands.complaint(code, out, err, {0, 2, 3, 4})
        if not wrong and code == 0 and call[0] == "predict":
            wrong = commands.odd_labels(out, clusters=b"noise_means" not in path.read_bytes())
        if not wrong and code == 0 and call[0] == "sample" and ("nan" in out or "inf" in out):
            wrong = f"drawn rows are not finite: {out[:200]}"
        assert not wrong, f"mutant {number} of seed {seed}, {call[0]}: {wrong}"
        works += code == 0
    return works


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_changed_models_work_or_are_refused_in_two_lines(tmp_path):
    assert check(tmp_path, 250, 1) < 200


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_changed_models(tmp_path, seed):
    print(f"seed {seed}: {check(tmp_path, 1000, 100 + seed)} of 1,000 work")


@pytest.mark.parametrize("kind", made.KINDS)
def test_unchanged_models_label_rows(tmp_path, kind):
    made.model(kind).save(tmp_path / "model.divmix")
    pyarrow.csv.write_csv(made.table(), tmp_path / "table.csv")
    code, out, err = commands.run("predict", tmp_path / "model.divmix", tmp_path / "table.csv")
    assert (code, err) == (0, "") and len(out.splitlines()) == 31
