"""Files that appear whole or not at all."""

import errno
import fcntl
import glob
import io
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import pyarrow as pa

from divmix.errors import OutputError
from divmix.tables.schema import is_number
from divmix.tables.text_rows import DelimitedWriter, JsonLinesWriter

TABLE_SUFFIXES = (
    ".csv",
    ".csv.gz",
    ".csv.zst",
    ".tsv",
    ".tsv.gz",
    ".tsv.zst",
    ".jsonl",
    ".jsonl.gz",
    ".jsonl.zst",
    ".parquet",
    ".arrow",
)
FORMATS = ("csv", "tsv", "jsonl", "parquet", "arrow")

# What a full disk, a quota, a size limit or a closed descriptor says. Other errors of the writer
# are not the output's.
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def check_output(path: str | Path, *, overwrite: bool) -> None:
    """Raise OutputError where `path` could not be written, before any work is done for it."""
    path = Path(path)
    try:
        if path.is_dir():
            raise OutputError(f"{path} is a folder", hint="name a file to write")
        if path.is_file() and not overwrite:
            raise OutputError(
                f"{path} exists already", hint="use --force to overwrite it, or choose another -o"
            )
        if not path.parent.is_dir():
            raise OutputError(
                f"{path} cannot be written: there is no folder {path.parent}",
                hint="create the folder first, or choose another -o",
            )
    except OSError as error:
        raise _cannot_write(path, error) from error


@contextmanager
def atomic_file(path: str | Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A binary file that takes its name only when the block ends without an error.

    It is written under a temporary name in the same folder, synced, then renamed: a failure
    removes it, and a kill leaves nothing under the final name; the next writer of that name clears
    away what a killed one left. A file that is replaced hands on its permissions. A device or pipe
    is written as is. Raises OutputError where the file exists without `overwrite`, or cannot be written.
    """
    check_output(path, overwrite=overwrite)
    # A symbolic link stays one: the file it points to is replaced.
    path = Path(os.path.realpath(path))
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        with path.open("wb") as device:
            yield device
        return
    sweep(path)
    file, temporary = _temporary_file(path)
    try:
        with file:
            if path.exists():
                _hand_on_permissions(path, file)
            yield file
            file.flush()
            os.fsync(file.fileno())
            check_output(path, overwrite=overwrite)
            os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in NO_ROOM or error.filename == str(temporary):
            raise _cannot_write(path, error) from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _temporary_file(path: Path) -> tuple[BinaryIO, Path]:
    """A new file beside `path`, locked, so that others see that its writer lives, and its name."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            # Created with open's own mode, so the umask applies as for any new file.
            file = temporary.open("xb")
        except OSError as error:
            raise _cannot_write(path, error) from error
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if temporary.exists():  # no other writer took it for a dead one's before it was locked
            return file, temporary
        file.close()


def sweep(path: Path) -> None:
    """Remove temporary files of `path` whose writers are dead."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.tmp"):
        with suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def _hand_on_permissions(path: Path, file: BinaryIO) -> None:
    found = path.stat()
    with suppress(OSError):  # only root can give a file away
        os.fchown(file.fileno(), found.st_uid, found.st_gid)
    os.fchmod(file.fileno(), stat.S_IMODE(found.st_mode))


def write_json(path: str | Path, document: Any, *, overwrite: bool = False) -> None:
    """Write a document as indented JSON; NumPy scalars and arrays become numbers and lists."""
    text = json.dumps(
        document,
        indent=2,
        ensure_ascii=False,
        allow_nan=False,
        default=lambda value: value.tolist(),
    )
    with atomic_file(path, overwrite=overwrite) as file:
        # A name that is no UTF-8 keeps its bytes as JSON's own escapes.
        file.write(f"{text}\n".encode(errors="backslashreplace"))


class TableWriter:
    """Writes batches to one table; the suffix of `path` decides the format, and on '-', which is
    stdout, `to`, one of FORMATS. Text in CSV is quoted, `sparing` where it has to be only.

    csv_safe: whether text in a CSV that a spreadsheet would take for a formula gets an apostrophe.
    A context manager: the file appears when the block ends without an error. Raises OutputError
    for an unknown suffix and for what `atomic_file` refuses. A closed pipe is a BrokenPipeError.
    """

    def __init__(
        self,
        path: str | Path,
        schema: pa.Schema,
        overwrite: bool = False,
        *,
        to: str = "csv",
        sparing: bool = False,
        csv_safe: bool = False,
    ) -> None:
        self._path = str(path)
        self._schema = schema
        self._overwrite = overwrite
        self._sparing = sparing
        self._suffix = f".{to}" if self._path == "-" else table_suffix(path)
        self._safe = csv_safe and self._suffix.startswith((".csv", ".tsv"))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            sink = stack.enter_context(
                _standard_output(self._suffix in (".parquet", ".arrow"))
                if self._path == "-"
                else atomic_file(self._path, overwrite=self._overwrite)
            )
            self._writer = stack.enter_context(self._open_writer(_Borrowed(sink), stack))
            self._stack = stack.pop_all()
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch with the writer's schema."""
        self._writer.write_batch(batch)

    def __exit__(self, *failure: Any) -> bool | None:
        return self._stack.__exit__(*failure)

    def _open_writer(self, sink: Any, stack: ExitStack) -> Any:
        if self._suffix == ".parquet":
            from pyarrow import parquet

            # Numbers seldom repeat: a dictionary of them costs time and room.
            texts = [field.name for field in self._schema if not is_number(field.type)]
            return parquet.ParquetWriter(
                sink, self._schema, compression="zstd", use_dictionary=texts or False
            )
        if self._suffix == ".arrow":
            return pa.ipc.new_file(sink, self._schema)
        plain, _, compression = self._suffix[1:].partition(".")
        if compression:
            codec = {"gz": "gzip", "zst": "zstd"}[compression]
            compressed = pa.CompressedOutputStream(pa.PythonFile(sink, "w"), codec)
            sink = stack.enter_context(compressed)
        if plain == "jsonl":
            return JsonLinesWriter(sink)
        return DelimitedWriter(
            sink,
            self._schema,
            "\t" if plain == "tsv" else ",",
            sparing=self._sparing,
            safe=self._safe,
        )


@contextmanager
def _standard_output(binary: bool) -> Iterator[BinaryIO]:
    if binary and sys.stdout.isatty():
        raise OutputError(
            "--to parquet and arrow are bytes that a terminal cannot show",
            hint="send them to a program or, by >, to a file; or leave --to out",
        )
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        if error.errno in NO_ROOM:
            raise _cannot_write("standard output", error) from error
        raise


class _Borrowed(io.RawIOBase):
    """A file that Arrow may close without closing the one beneath, which is not its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        if not self.closed:
            self._file.flush()


def table_suffix(path: str | Path) -> str:
    """The suffix that decides a table's format. Raises OutputError for an unknown one."""
    for suffix in sorted(TABLE_SUFFIXES, key=len, reverse=True):
        if str(path).lower().endswith(suffix):
            return suffix
    raise OutputError(
        f"{path}: unknown kind of table", hint=f"end the name in {', '.join(TABLE_SUFFIXES)}"
    )


def sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the file system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network file systems refuse this; the file itself is synced already
    finally:
        os.close(handle)


def _cannot_write(path: Path | str, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written: {os.strerror(error.errno or errno.EIO)}",
        hint="check the folder's permissions and free space, or choose another -o",
    )
