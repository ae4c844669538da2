"""The file format of a model: a zip of `model.json` and one `NAME.npy` for each array.

Nothing in it is ever executed (no pickle), and nothing it says about sizes is believed before it is
compared with the size of the file: members are stored, not compressed, so a small file cannot ask
for much memory. The zip's comment is the SHA-256 of all bytes before it, so any flipped byte shows.
"""

import hashlib
import io
import json
import math
import os
import stat
import tokenize
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from divmix.errors import ModelFileError, OutputError
from divmix.tables.writing import atomic_file

FORMAT = 1
DOCUMENT = "model.json"
DIGEST_LENGTH = 64  # hexadecimal digits of a SHA-256
MOST_MEMBERS = 1_000
LARGEST_DOCUMENT = 1 << 25  # bytes of model.json, which takes some thirty times as much when read
# Where a zip's directory ends; with its comment it has 64 KB at most.
DIRECTORY_END, LONGEST_END = b"PK\5\6", (1 << 16) + 22
# zipfile and json raise all of these on bytes that nobody wrote on purpose.
BROKEN = (
    zipfile.BadZipFile,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
)


def write_model(
    path: str | Path,
    document: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    overwrite: bool = False,
) -> None:
    """Write a model to `path`, whole or not at all.

    `document` is what JSON can hold; `arrays` are numbers or booleans of any shape, with names of
    lower-case letters, digits and underscores. The same model gives the same bytes.
    Raises OutputError if the file exists (without `overwrite`) or cannot be written.
    """
    head = {"format": FORMAT, "arrays": sorted(arrays), **document}
    text = json.dumps(head, indent=1, allow_nan=False).encode()
    if len(text) > LARGEST_DOCUMENT:
        raise OutputError(
            f"{path}: the model's description of its columns has {len(text):,} bytes",
            hint="leave out text columns of many categories with --exclude",
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, DOCUMENT, text)
        for name in head["arrays"]:
            _add(archive, f"{name}.npy", _npy(arrays[name]))
        archive.comment = b"0" * DIGEST_LENGTH
    content = buffer.getvalue()[:-DIGEST_LENGTH]
    with atomic_file(path, overwrite=overwrite) as file:
        file.write(content)
        file.write(hashlib.sha256(content).hexdigest().encode())


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The document and the arrays of a model file, or of the model in a run folder.

    Raises ModelFileError for a file that is missing, damaged, not a model or of a newer format.
    """
    path = _model_of(Path(path))
    try:
        with open(path, "rb") as file:
            _check_members(file)
            return _read(path, file)
    except OSError as error:
        raise ModelFileError(
            f"{path}: {error.strerror or 'cannot be read'}",
            hint="give the model.divmix of a run folder, or the folder",
        ) from error
    except BROKEN as error:
        raise ModelFileError(
            f"{path} is not a model file, or it is damaged",
            hint="give the model.divmix that divmix fit wrote, or fit again",
        ) from error


def _read(path: Path, file: BinaryIO) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `read_model` gives; raises one of BROKEN too."""
    with zipfile.ZipFile(file) as archive:
        _check_sizes(archive, file)
        document = _document(path, archive)
        if not _intact(file):
            raise ModelFileError(
                f"{path}: the file was changed after it was written",
                hint="copy it again from where it was made, or fit again",
            )
        names = document.pop("arrays", None)
        expected = [DOCUMENT] + [f"{name}.npy" for name in names]
        if archive.namelist() != expected or len(set(expected)) < len(expected):
            raise ValueError("its members are not those it lists")
        return document, {name: _array(archive.read(f"{name}.npy")) for name in names}


def _model_of(path: Path) -> Path:
    """The file itself, or the one in a run folder. Raises ModelFileError for no complete run."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return path  # opening it will say why
    if stat.S_ISDIR(mode):
        if not (path / "run.json").is_file():
            raise ModelFileError(
                f"{path} is no run folder, or its run was never finished: it has no run.json",
                hint="fit again, or name the model.divmix itself",
            )
        return path / "model.divmix"
    if not stat.S_ISREG(mode):
        raise ModelFileError(
            f"{path} is no file: a model cannot be read from a device or a pipe",
            hint="give the model.divmix of a run folder, or the folder",
        )
    return path


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # ZipInfo's fixed date, not the clock's: the same model must give the same bytes.
    archive.writestr(zipfile.ZipInfo(name), content)


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), allow_pickle=False)
    return buffer.getvalue()


def _check_members(file: BinaryIO) -> None:
    """Not even the zip's directory is read before its end tells how many members it has."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - LONGEST_END, 0))
    end = file.read()
    at = end.rfind(DIRECTORY_END)
    if at < 0 or int.from_bytes(end[at + 10 : at + 12], "little") > MOST_MEMBERS:
        raise ValueError("it has no directory of a model's length")


def _check_sizes(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    """Nothing has been read yet: what the members say of their sizes must fit into the file."""
    members = archive.infolist()
    if any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise ValueError("a member is compressed")
    if sum(max(m.file_size, m.compress_size) for m in members) > file.seek(0, os.SEEK_END):
        raise ValueError("its members are larger than the file")
    if len(members) > MOST_MEMBERS or archive.getinfo(DOCUMENT).file_size > LARGEST_DOCUMENT:
        raise ValueError("its members are more, or its document larger, than those of a model")


def _document(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """What model.json says, without its format number."""
    document = json.loads(archive.read(DOCUMENT), parse_constant=_refuse)
    version = document.pop("format")
    if not isinstance(version, int) or version < 1:
        raise ValueError("no format number")
    if version > FORMAT:
        raise ModelFileError(
            f"{path} is of format {version}, written by a newer divmix; this one reads {FORMAT}",
            hint="pip install --upgrade divmix",
        )
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of a model")


def _intact(file: BinaryIO) -> bool:
    """Whether the last 64 bytes are the digest of all bytes before them."""
    length = file.seek(0, os.SEEK_END) - DIGEST_LENGTH
    file.seek(0)
    digest = hashlib.sha256()
    while length > 0:
        block = file.read(min(length, 1 << 20))
        digest.update(block)
        length -= len(block)
    return file.read() == digest.hexdigest().encode()


def _array(content: bytes) -> np.ndarray:
    """The array in the bytes of a .npy file whose header agrees with their number."""
    file = io.BytesIO(content)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("unknown version of the array format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    size = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "biuf" or fortran_order or min(shape, default=0) < 0:
        raise ValueError("not an array of numbers in C order")
    if size != len(content) - file.tell():
        raise ValueError("the array's shape disagrees with its size")
    return np.frombuffer(content, dtype, offset=file.tell()).reshape(shape).copy()
