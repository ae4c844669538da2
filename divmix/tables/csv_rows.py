"""Where the rows of a CSV file end: a line end inside quotes is part of a cell."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import BinaryIO

LONGEST_ROW = 1 << 26  # bytes; a row of MNIST has 3,000


class RowTooLong(Exception):
    """A row has no end in LONGEST_ROW bytes."""


class RowCutter:
    """Cuts the bytes of a CSV file with this separator and line end at ends of rows."""

    def __init__(self, delimiter: str, newline: bytes) -> None:
        self._delimiter = delimiter
        self._newline = newline
        # A quote opens a cell only where the cell starts; 5" is text. The last one may stay open.
        start = rb"(?:\A|(?<=[\r\n" + re.escape(delimiter.encode()) + rb"]))"
        # Possessive: what was matched is not kept to be tried again, which took 100 bytes for each.
        self._quoted = re.compile(start + rb'"(?:[^"]++|"")*+(?P<close>"|\Z)')

    def pieces(self, stream: io.RawIOBase, size: int) -> Iterator[bytes]:
        """The stream in pieces of about `size` bytes; only the last can end within a row.

        Raises RowTooLong.
        """
        rest = b""
        while chunk := stream.read(size):
            piece = rest + chunk
            if len(rest) > LONGEST_ROW:
                raise RowTooLong
            end = self._last_row_end(piece)
            rest = piece[end:]
            if end:
                yield piece[:end]
        if rest:
            yield rest

    def row_of_open_quote(self, piece: bytes, before: int) -> int | None:
        """Which row of the piece, from 0, has a quote that never closes; None if none has. Its
        first `before` lines are no rows."""
        if piece.count(b'"') % 2 == 0:
            return None
        for cell in self._quoted.finditer(piece):
            if not cell["close"]:
                text = io.StringIO(piece[: cell.start()].decode(errors="replace"), newline="")
                above = csv.reader(islice(text, before, None), delimiter=self._delimiter)
                rows = sum(bool(cells) for cells in above)
                ends_a_row = piece[: cell.start()].endswith((b"\n", b"\r")) or not cell.start()
                return rows if ends_a_row else rows - 1
        return None

    def line_of_row(self, stream: BinaryIO, row: int, before: int) -> int | None:
        """The line, from 1, on which a row, from 0, of the stream starts, `before` lines of which
        stand above its rows and header; None where it has no such row.

        A header counts as a row; blank lines count as lines alone.
        """
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="replace", newline="")
        rows = csv.reader(islice(text, before, None), delimiter=self._delimiter)
        line, left = before + 1, row
        with suppress(csv.Error):  # a cell too long for this module: where its row starts is known
            for cells in rows:
                if cells and not left:
                    break
                left -= bool(cells)
                line = before + rows.line_num + 1
            else:
                return None
        return None if left else line

    def _last_row_end(self, piece: bytes) -> int:
        """Where the last complete row ends, 0 if none does."""
        end = piece.rfind(self._newline) + 1
        # An even number of quotes means that all are closed; the search is for the rare others.
        if piece.count(b'"', 0, end) % 2 == 0:
            return end
        limit = len(piece)
        for cell in reversed(list(self._quoted.finditer(piece))):
            end = piece.rfind(self._newline, cell.end(), limit) + 1
            if end:
                return end
            limit = cell.start()
        return piece.rfind(self._newline, 0, limit) + 1
