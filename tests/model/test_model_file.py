"""A model file is read whole and unharmed, or refused with a model-file error. Nothing between."""

import hashlib
import io
import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from divmix.errors import ModelFileError, OutputError
from divmix.model.model_file import read_model, write_model

DOCUMENT = {"version": "0.1.0", "columns": ["Länge", "b"], "alpha": 0.1}
ARRAYS = {
    "means": np.arange(6.0).reshape(2, 3),
    "weights": np.array([0.25, 0.75]),
    "count": np.array(7),
    "clusters": np.array([0, 1], dtype=np.int64),
}


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.divmix"
    write_model(path, DOCUMENT, ARRAYS)
    return path


def sealed(path, members):
    """A zip of (name, content) pairs that carries a right digest, as an attacker would make it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
        archive.comment = b"0" * 64
    seal(path, buffer.getvalue())


def seal(path, content):
    content = content[:-64]
    path.write_bytes(content + hashlib.sha256(content).hexdigest().encode())


def head(arrays=(), **more):
    return "model.json", json.dumps({"format": 1, "arrays": list(arrays), **more})


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npy_header(text):
    """A .npy file with this header and eight bytes of data."""
    text = text.ljust(118 - 1) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + b"\0" * 8


def test_what_was_written_is_read(model):
    document, arrays = read_model(model)
    assert document == DOCUMENT
    assert list(arrays) == sorted(ARRAYS)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert array.dtype == ARRAYS[name].dtype and array.shape == ARRAYS[name].shape
        assert array.flags.writeable


@settings(max_examples=30, deadline=None)
@given(
    numpy_strategies.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]),
        numpy_strategies.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_any_array_of_numbers_survives(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("model") / "model.divmix"
    write_model(path, {}, {"a": array})
    read = read_model(path)[1]["a"]
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype


def test_a_finished_run_folder_stands_for_its_model(model):
    with pytest.raises(ModelFileError, match="never finished"):
        read_model(model.parent)
    (model.parent / "run.json").write_text("{}")
    assert read_model(model.parent)[0] == DOCUMENT


def test_the_same_model_gives_the_same_bytes(model, tmp_path):
    write_model(tmp_path / "again", DOCUMENT, ARRAYS)
    assert (tmp_path / "again").read_bytes() == model.read_bytes()


def test_an_existing_file_is_not_overwritten_unasked(model):
    before = model.read_bytes()
    with pytest.raises(OutputError):
        write_model(model, {}, {})
    assert model.read_bytes() == before
    write_model(model, {"new": True}, {}, overwrite=True)
    assert read_model(model)[0] == {"new": True}


def test_nan_cannot_enter_the_document(tmp_path):
    with pytest.raises(ValueError):
        write_model(tmp_path / "model.divmix", {"alpha": float("nan")}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_flip_of_any_byte_is_a_model_file_error(model, tmp_path):
    content = model.read_bytes()
    broken = tmp_path / "broken"
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x41
        broken.write_bytes(changed)
        with pytest.raises(ModelFileError):
            read_model(broken)


def test_a_file_cut_at_each_percent_is_a_model_file_error(model, tmp_path):
    content = model.read_bytes()
    broken = tmp_path / "broken"
    for percent in range(100):
        broken.write_bytes(content[: len(content) * percent // 100])
        with pytest.raises(ModelFileError):
            read_model(broken)


def test_more_after_the_end_is_a_model_file_error(model):
    model.write_bytes(model.read_bytes() + b"more")
    with pytest.raises(ModelFileError):
        read_model(model)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_noise_is_a_model_file_error(tmp_path_factory, noise, looks_like_zip):
    path = tmp_path_factory.mktemp("noise") / "model.divmix"
    path.write_bytes(b"PK\x03\x04" * looks_like_zip + noise)
    with pytest.raises(ModelFileError):
        read_model(path)


def test_a_newer_format_says_to_upgrade(tmp_path):
    sealed(tmp_path / "m", [("model.json", json.dumps({"format": 2, "other": "layout"}))])
    with pytest.raises(ModelFileError, match="format 2") as caught:
        read_model(tmp_path / "m")
    assert "upgrade" in caught.value.hint


def test_a_file_packed_anew_by_hand_is_told_from_a_broken_one(model, tmp_path):
    with zipfile.ZipFile(model) as archive, zipfile.ZipFile(tmp_path / "m", "w") as copy:
        for name in archive.namelist():
            copy.writestr(name, archive.read(name))
    with pytest.raises(ModelFileError, match="changed after it was written"):
        read_model(tmp_path / "m")


NONSENSE = {
    "no members": [],
    "no document": [("other.json", "{}")],
    "cut JSON": [("model.json", "{")],
    "a list": [("model.json", "[]")],
    "no format": [("model.json", "{}")],
    "deep nesting": [("model.json", "[" * 100_000)],
    "not UTF-8": [("model.json", b"\xff\xfe{}")],
    "format 0": [("model.json", '{"format": 0, "arrays": []}')],
    "format as text": [("model.json", '{"format": "1", "arrays": []}')],
    "no list of arrays": [("model.json", '{"format": 1}')],
    "arrays is a number": [("model.json", '{"format": 1, "arrays": 5}')],
    "a listed array is missing": [head(["a"])],
    "another array than listed": [head(["a"]), ("b.npy", npy(np.zeros(2)))],
    "a path that climbs": [head(), ("../../evil.npy", npy(np.zeros(2)))],
    "an array that is not listed": [head(), ("a.npy", npy(np.zeros(2)))],
    "an array twice": [head(["a"]), ("a.npy", npy(np.zeros(2))), ("a.npy", npy(np.ones(2)))],
    "an array listed and present twice": [
        head(["a", "a"]),
        ("a.npy", npy(np.zeros(2))),
        ("a.npy", npy(np.ones(2))),
    ],
    "the document twice": [head(["a"]), ("a.npy", npy(np.zeros(2))), head(["a"])],
    "an empty array file": [head(["a"]), ("a.npy", b"")],
    "not an array file": [head(["a"]), ("a.npy", b"not an array")],
    "an array cut short": [head(["a"]), ("a.npy", npy(np.zeros(2))[:-1])],
    "bytes after an array": [head(["a"]), ("a.npy", npy(np.zeros(2)) + b"\0")],
    "Fortran order": [head(["a"]), ("a.npy", npy(np.asfortranarray(np.zeros((2, 3)))))],
    "text": [head(["a"]), ("a.npy", npy(np.array(["text"])))],
    "objects": [head(["a"]), ("a.npy", npy(np.array([{}], dtype=object)))],
    "complex numbers": [head(["a"]), ("a.npy", npy(np.array([1j])))],
    "a huge shape": [
        head(["a"]),
        (
            "a.npy",
            npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
        ),
    ],
    "a negative shape": [
        head(["a"]),
        ("a.npy", npy_header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }")),
    ],
    "code in the header": [
        head(["a"]),
        ("a.npy", npy_header("{'descr': '<f8', 'shape': __import__('os')}")),
    ],
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("members", NONSENSE.values(), ids=NONSENSE)
def test_a_well_sealed_file_of_nonsense_is_a_model_file_error(tmp_path, members):
    sealed(tmp_path / "m", members)
    with pytest.raises(ModelFileError):
        read_model(tmp_path / "m")


def test_a_pickle_is_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    array = np.empty(1, dtype=object)
    array[0] = Trap()
    sealed(tmp_path / "m", [head(["a"]), ("a.npy", npy(array))])
    with pytest.raises(ModelFileError):
        read_model(tmp_path / "m")
    assert not (tmp_path / "sprung").exists()


def test_a_compressed_bomb_is_refused_before_it_is_unpacked(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.json", head(["a"])[1])
        archive.writestr("a.npy", npy(np.zeros(1_000_000)))
        archive.comment = b"0" * 64
    seal(tmp_path / "m", buffer.getvalue())
    with pytest.raises(ModelFileError):
        read_model(tmp_path / "m")


def test_a_member_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    sealed(tmp_path / "m", [head()])
    content = bytearray((tmp_path / "m").read_bytes())
    central = content.index(b"PK\x01\x02")
    struct.pack_into("<II", content, central + 20, 2**31, 2**31)  # compressed and plain size
    seal(tmp_path / "m", bytes(content))
    with pytest.raises(ModelFileError):
        read_model(tmp_path / "m")


@pytest.mark.parametrize(
    "make, told",
    [(lambda path: None, "No such file"), (lambda path: path.mkdir(), "no run.json")],
)
def test_a_missing_file_is_a_model_file_error_with_its_name(tmp_path, make, told):
    make(tmp_path / "m")
    with pytest.raises(ModelFileError, match=told) as caught:
        read_model(tmp_path / "m")
    assert str(tmp_path / "m") in str(caught.value)
