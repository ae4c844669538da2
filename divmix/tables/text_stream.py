"""Bytes of a text file on their way to the CSV reader: other encodings, columns set by blanks."""

import codecs
import io
from typing import Any, Protocol, TypeAlias

from divmix.errors import InputError, UsageError

Edges: TypeAlias = tuple[tuple[int, int], ...]

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Change(Protocol):
    """Some bytes, and whether they are the last, to what becomes of them."""

    def __call__(self, chunk: bytes, /, final: bool) -> bytes: ...


class ChangedStream(io.RawIOBase):
    """A stream whose bytes go through changes as they are read."""

    def __init__(self, stream: Any, changes: list[Change]) -> None:
        self._stream = stream
        self._changes = changes
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """About `size` bytes; none only at the end."""
        while not self._ended:
            chunk = self._stream.read(size)
            self._ended = not chunk or size is None or size < 0
            chunk = changed(chunk, self._changes, final=self._ended)
            if chunk:
                return chunk
        return b""

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def checked_encoding(name: str) -> str:
    """The name that Python has for an encoding. Raises UsageError for none of text."""
    try:
        "".encode(name)
        return codecs.lookup(name).name
    except (LookupError, UnicodeError, ValueError) as error:
        raise UsageError(
            f"--encoding {name}: there is no such encoding",
            hint="such as utf-8, latin-1, cp1252, utf-16 or shift_jis",
        ) from error


class Recoded:
    """From an encoding to UTF-8. Raises InputError, naming `file`, for bytes that are none of it."""

    def __init__(self, file: str, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def __call__(self, chunk: bytes, final: bool) -> bytes:
        try:
            return self._decoder.decode(chunk, final).encode()
        except UnicodeError as error:
            raise InputError(
                f"{self._file} is not text in {self._encoding}: {error}",
                hint="leave --encoding away, or name another one",
            ) from error


def recoding(file: str, encoding: str | None) -> list[Change]:
    """What brings a file from its encoding to UTF-8; None is UTF-8, where nothing has to change."""
    return [Recoded(file, encoding)] if encoding else []


def changed(content: bytes, changes: list[Change], *, final: bool = True) -> bytes:
    """Bytes that have gone through the changes; `final` says that no more follow."""
    for change in changes:
        content = change(content, final=final)
    return content


def is_utf8(content: bytes) -> bool:
    """Whether bytes are text in UTF-8."""
    try:
        content.decode()
        return True
    except UnicodeError:
        return False


def in_utf8(content: bytes) -> bytes:
    """The bytes with a sign for what is no UTF-8: Arrow can tell of ragged rows in such only."""
    return content if is_utf8(content) else content.decode(errors="replace").encode()


def guessed_encoding(sample: bytes) -> str:
    """An encoding that the bytes of a file, which are no UTF-8, can be read with."""
    if b"\0" in sample:
        return "utf-16-le" if sample[1:2] == b"\0" else "utf-16-be"
    try:
        sample.decode("cp1252")
        return "cp1252"
    except UnicodeError:
        return "latin-1"


class Aligned:
    """Columns parted by blanks, or set at fixed places, to columns parted by tabs.

    edges : first and last place (in characters) of each column, None where runs of blanks part.
    """

    def __init__(self, edges: Edges | None) -> None:
        self._edges = edges
        self._rest = b""

    def __call__(self, chunk: bytes, final: bool) -> bytes:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if final and self._rest:
            lines.append(self._rest)
        return b"".join(self._parted(line) + b"\n" for line in lines)

    def _parted(self, line: bytes) -> bytes:
        if self._edges is None:
            return b"\t".join(line.split())
        text = line.decode(errors="surrogateescape")
        cells = [text[start:stop].strip() for start, stop in self._edges]
        return "\t".join(cells).encode(errors="surrogateescape") if any(cells) else b""


def fixed_places(lines: list[str]) -> Edges | None:
    """Where columns stand in lines of text: runs of places that are not blank in every line.

    The last column goes on to the end of its line. None where there is but one.
    """
    width = max(map(len, lines), default=0)
    inked = [
        any(place < len(line) and line[place] != " " for line in lines) for place in range(width)
    ]
    starts = [i for i in range(width) if inked[i] and (i == 0 or not inked[i - 1])]
    if len(starts) < 2:
        return None
    return tuple(zip(starts, [*starts[1:], 1 << 20]))
