"""Where the bytes of a table come from: files, folders, standard input; plain or compressed."""

import glob
import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Any, BinaryIO
from urllib.parse import unquote

import pyarrow as pa

from divmix.errors import InputError, Instead

STANDARD_INPUT = "-"

# What a folder is searched for; a single file may have any name.
SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".psv",
    ".jsonl",
    ".ndjson",
    ".csv.gz",
    ".tsv.gz",
    ".txt.gz",
    ".csv.zst",
    ".tsv.zst",
    ".txt.zst",
    ".jsonl.gz",
    ".jsonl.zst",
    ".parquet",
    ".pq",
    ".arrow",
    ".feather",
    ".ipc",
)

COMPRESSED = 4  # times smaller is a compressed table, about
_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # also the programs that unpack them


class Source:
    """One file or standard input, opened from its start.

    Standard input and pipes can be opened once, so they are read once; size and digest are taken
    while they are read. `partition` has what the folders above a file tell of its rows, by name,
    and `folder` is the one below which they stand, "" for others.
    """

    def __init__(
        self,
        path: str | Path,
        partition: Mapping[str, str] | None = None,
        folder: str | Path = "",
    ) -> None:
        self.is_input = str(path) == STANDARD_INPUT
        self.is_stream = self.is_input or _is_pipe(path)
        self.name = "standard input" if self.is_input else str(path)
        self.partition = dict(partition or {})
        self.folder = str(folder)
        self._path = path
        self._digest = hashlib.sha256()
        self._size = 0
        self._stream: _Replay | None = None

    def open(self) -> "_Replay":
        """The bytes from the start, decompressed. Raises InputError where there is no such file."""
        if not self.is_stream:
            return _decompressed(_Replay(self._open_file()))
        if self._stream is None:
            stream = sys.stdin.buffer if self.is_input else self._open_file()
            self._stream = _decompressed(_Replay(_Counted(stream, self)))
        return self._stream

    def head(self, size: int) -> bytes:
        """The first bytes, decompressed; looking at them uses nothing up.

        Raises InputError where they cannot be decompressed.
        """
        stream = self.open()
        try:
            return stream.peek(size)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(
                f"{self.name} cannot be read: {str(error).splitlines()[0]}",
                hint="fetch or write the file again: it is not complete",
                instead=self.again(),
            ) from error
        finally:
            if not self.is_stream:
                stream.close()

    def open_native(self) -> pa.NativeFile:
        """The bytes as stored, for readers that jump about in them and read ahead in threads.

        Standard input is taken into memory: such formats have their directory at the end.
        """
        if self.is_stream:
            return pa.BufferReader(self.open().read())
        return pa.OSFile(str(self._path))

    def _open_file(self) -> io.BufferedReader:
        try:
            return Path(self._path).open("rb")
        except OSError as error:
            raise InputError(
                f"{self.name} cannot be read: {error.strerror}",
                hint="check the path and its permissions",
                instead=self._near(),
            ) from error

    def _near(self) -> Instead | None:
        """A file of nearly this name in its folder; that the ends are alike says nothing."""
        path = Path(self._path)
        try:
            names = {
                Path(name).stem: name for name in sorted(os.listdir(path.parent)) if name[0] != "."
            }
        except OSError:
            return None
        near = get_close_matches(path.stem, names, n=1)
        return self.again(str(path.with_name(names[near[0]]))) if near else None

    def again(self, by: str | None = None) -> Instead | None:
        """What a command line names once somebody has mended the file, or written it as `by`; None
        for what can be read once only."""
        return None if self.is_stream else Instead(self.name, by or self.name)

    def through(self, program: str) -> Instead | None:
        """The output of a shell program that is given the bytes as `open` has them; None for what
        can be read once only."""
        if self.is_stream:
            return None
        codec = self._codec()
        given = (
            f"{codec} -dc {quote(self.name)} | {program}"
            if codec
            else f"{program} {quote(self.name)}"
        )
        return Instead(self.name, STANDARD_INPUT, given)

    def empty(self) -> InputError:
        """The error for a file without a table in it."""
        return InputError(
            f"{self.name} is empty",
            hint="write it again: it should hold a header line and rows",
            instead=self.again(),
        )

    def _codec(self) -> str | None:
        """The program that unpacks the file, None for one that is not compressed."""
        with self._open_file() as stream:
            start = stream.peek(4)
        return next((codec for magic, codec in _CODECS.items() if start.startswith(magic)), None)

    @property
    def estimated_bytes(self) -> int | None:
        """Of the bytes when they are decompressed, about; None for what is read once only."""
        if self.is_stream:
            return None
        with self._open_file() as stream:
            size = os.fstat(stream.fileno()).st_size
        return int(size * (COMPRESSED if self._codec() else 1))

    def fingerprint(self) -> tuple[int, str]:
        """Size in bytes and SHA-256 of the bytes as stored; of standard input, those read."""
        if self.is_stream:
            return self._size, self._digest.hexdigest()
        digest, size = hashlib.sha256(), 0
        with self._open_file() as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
        return size, digest.hexdigest()

    def count(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self._size += len(chunk)


def expand(sources: Sequence[str | Path]) -> list[Source]:
    """The files that `sources` stand for: a folder is its tables, sorted by name, and those in its
    folders `key=value`; a pattern such as 'part-*.csv' is all that fit.

    Raises InputError for a folder without tables, and a pattern that nothing fits.
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    found: list[Source] = []
    for source in sources:
        if str(source) == "":
            raise InputError("the name of a table is empty", hint="name a file, a folder or -")
        if str(source) == STANDARD_INPUT:
            found.append(Source(source))
            continue
        for path in _fitting(source):
            found.extend(_tables_of(Path(path)) if os.path.isdir(path) else [Source(path)])
    return found


def _fitting(source: str | Path) -> list[str | Path]:
    """What a pattern stands for, sorted; anything else stands for itself."""
    if os.path.exists(source) or not glob.has_magic(str(source)):
        return [source]
    paths: list[str | Path] = sorted(glob.glob(str(source), recursive=True))
    if not paths:
        raise InputError(f"no file fits the pattern {source}", hint="check the path")
    return paths


def _tables_of(folder: Path) -> list[Source]:
    """The tables of a folder. Raises InputError where there is none, or two layouts."""
    tables = list(_parts(folder, {}, folder))
    if not tables:
        raise InputError(
            f"the folder {folder} holds no tables",
            hint="tables end in .csv, .tsv, .jsonl, .parquet, .arrow, ...",
        )
    keys = {tuple(table.partition) for table in tables}
    if len(keys) > 1:
        raise InputError(
            f"the folder {folder} has tables at several depths of folders key=value",
            hint="name the folder of one depth, or the files",
        )
    return tables


def _parts(folder: Path, partition: dict[str, str], top: Path) -> Iterator[Source]:
    for child in sorted(folder.iterdir()):
        key, is_part, value = child.name.partition("=")
        if child.name.startswith((".", "_")):
            continue
        if child.is_file() and child.name.lower().endswith(SUFFIXES):
            yield Source(child, partition, top if partition else "")
        elif is_part and key and child.is_dir():
            yield from _parts(child, {**partition, key: unquote(value)}, top)


def _is_pipe(path: str | Path) -> bool:
    """Whether what is read there is gone afterwards. Raises InputError for a device."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False  # opening it will say why
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise InputError(f"{path} is a device, not a table", hint="name a file, a folder or a pipe")
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _decompressed(stream: "_Replay") -> "_Replay":
    start = stream.peek(4)
    for magic, codec in _CODECS.items():
        if start.startswith(magic):
            return _Replay(pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), codec))
    return stream


class _Replay(io.RawIOBase):
    """A stream whose first bytes can be looked at before they are read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._head = b""

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end; they are not used up."""
        while len(self._head) < size:
            chunk = self._stream.read(size - len(self._head))
            if not chunk:
                break
            self._head += chunk
        return self._head[:size]

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, fewer only at the end; everything for -1."""
        if size is not None and size >= 0:
            found = self.peek(size)
        else:
            found = self._head + self._stream.read()
        self._head = self._head[len(found) :]
        return found

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _Counted:
    """A pipe on its way through the digest. Standard input, which others may use, stays open."""

    def __init__(self, stream: BinaryIO, source: Source) -> None:
        self._stream = stream
        self._source = source

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self._source.count(chunk)
        return chunk

    def close(self) -> None:
        if not self._source.is_input:
            self._stream.close()
