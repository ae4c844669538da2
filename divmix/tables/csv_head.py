"""The first block of a CSV file, in UTF-8: what tells its encoding, its dialect and its columns."""

from typing import NamedTuple

from divmix.errors import InputError
from divmix.tables.sources import Source
from divmix.tables.text_stream import UTF_16_MARKS, changed, guessed_encoding, recoding

BLOCK = 1 << 20
LARGEST_BLOCK = 1 << 28
LONGEST_FIRST_LINE = LARGEST_BLOCK // 16


class Head(NamedTuple):
    """The first bytes of a file, in UTF-8.

    block : how many were asked for, large enough to hold some rows. is_whole : whether the file has
    no more. encoding : of the file, None for UTF-8.
    """

    content: bytes
    block: int
    is_whole: bool
    encoding: str | None

    @property
    def newline(self) -> bytes:
        """What ends a line; old files of the Mac have a carriage return."""
        return b"\n" if b"\n" in self.content else b"\r"


def read_head(source: Source, encoding: str | None) -> Head:
    """The first block, however long the rows are; `encoding` None is UTF-8, or what it tells.

    Raises InputError for a file without line ends, and for one that is not in its encoding.
    """
    block = BLOCK
    while True:
        head = _recoded(source, encoding, block)
        start = head.content[: block // 16]
        is_short = head.is_whole and len(head.content) <= LONGEST_FIRST_LINE
        if is_short or b"\n" in start or b"\r" in start:
            return head
        if block >= LARGEST_BLOCK:
            raise InputError(
                f"{source.name} has no line end in its first {LONGEST_FIRST_LINE:,} bytes",
                hint="check that it is a CSV file; end each row with a line end",
                instead=source.again(),
            )
        block *= 16


def _recoded(source: Source, encoding: str | None, block: int) -> Head:
    content = source.head(block)
    is_whole = len(content) < block
    if encoding is None and content.startswith(UTF_16_MARKS):
        encoding = "utf-16"
    if encoding is None and _looks_like_utf_16(content):
        raise InputError(
            f"{source.name} is text in UTF-16 without a mark that says so",
            hint=f"use --encoding {guessed_encoding(content)}",
            fix={"encoding": guessed_encoding(content)},
        )
    content = changed(content, recoding(source.name, encoding), final=is_whole)
    return Head(content, block, is_whole, encoding)


def _looks_like_utf_16(content: bytes) -> bool:
    """Whether every other of the first bytes is zero, as in text of plain letters."""
    start = content[:200]
    zeros = [start[place::2].count(0) for place in (0, 1)]
    return len(start) > 3 and max(zeros) > 0.4 * len(start) and min(zeros) == 0
