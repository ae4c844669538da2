"""Archives: a zip of one JSON document and one `NAME.npy` for each array.

Nothing in it is ever executed (no pickle), and nothing it says about sizes is believed before it is
compared with the size of the file: members are stored, not compressed, so a small file cannot ask
for much memory. The zip's comment is the SHA-256 of all bytes before it, so any flipped byte shows.
"""

import hashlib
import io
import json
import math
import os
import tokenize
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from divmix.tables.writing import atomic_file

DIGEST_LENGTH = 64  # hexadecimal digits of a SHA-256
MOST_MEMBERS = 1_000
LARGEST_DOCUMENT = 1 << 25  # bytes of JSON, which takes some thirty times as much when read
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


class ChangedError(ValueError):
    """The digest of an archive is not that of its bytes."""


class TooLongError(ValueError):
    """A document that is too long to be read again."""


def write_archive(
    path: str | Path,
    name: str,
    document: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    overwrite: bool = False,
) -> None:
    """Write an archive to `path`, whole or not at all; `name` is that of the document in it.

    `document` is what JSON can hold; `arrays` are numbers or booleans of any shape, with names of
    lower-case letters, digits and underscores. The same content gives the same bytes. Raises
    TooLongError, and OutputError if the file exists (without `overwrite`) or cannot be written.
    """
    head = {**document, "arrays": sorted(arrays)}
    text = json.dumps(head, indent=1, allow_nan=False).encode()
    if len(text) > LARGEST_DOCUMENT:
        raise TooLongError(f"{len(text):,} bytes")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, name, text)
        for array in head["arrays"]:
            _add(archive, f"{array}.npy", _npy(arrays[array]))
        archive.comment = b"0" * DIGEST_LENGTH
    content = buffer.getvalue()[:-DIGEST_LENGTH]
    with atomic_file(path, overwrite=overwrite) as file:
        file.write(content)
        file.write(hashlib.sha256(content).hexdigest().encode())


def read_archive(
    file: BinaryIO, name: str, check: Callable[[dict[str, Any]], None]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The document and the arrays of an archive.

    `check` sees the document first, before the digest is compared, and raises what it finds amiss:
    archives of a newer format may be others. Raises ChangedError, and one of BROKEN for bytes that
    are no archive.
    """
    _check_members(file)
    with zipfile.ZipFile(file) as archive:
        _check_sizes(archive, file, name)
        document = json.loads(archive.read(name), parse_constant=_refuse)
        check(document)
        if not _intact(file):
            raise ChangedError
        names = document.pop("arrays", None)
        expected = [name] + [f"{array}.npy" for array in names]
        if archive.namelist() != expected or len(set(expected)) < len(expected):
            raise ValueError("its members are not those it lists")
        return document, {array: _array(archive.read(f"{array}.npy")) for array in names}


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
        raise ValueError("it has no directory of an archive's length")


def _check_sizes(archive: zipfile.ZipFile, file: BinaryIO, name: str) -> None:
    """Nothing has been read yet: what the members say of their sizes must fit into the file."""
    members = archive.infolist()
    if any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise ValueError("a member is compressed")
    if sum(max(m.file_size, m.compress_size) for m in members) > file.seek(0, os.SEEK_END):
        raise ValueError("its members are larger than the file")
    if len(members) > MOST_MEMBERS or archive.getinfo(name).file_size > LARGEST_DOCUMENT:
        raise ValueError("its members are more, or its document larger, than those of an archive")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of an archive")


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
