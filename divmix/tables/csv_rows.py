"""Where the rows of a CSV file end: a line end inside quotes is part of a cell."""

import csv
import io
import re
from collections.abc import Iterator

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

    def row_of_open_quote(self, piece: bytes) -> int | None:
        """Which row of the piece, from 0, has a quote that never closes; None if none has."""
        if piece.count(b'"') % 2 == 0:
            return None
        for cell in self._quoted.finditer(piece):
            if not cell["close"]:
                before = io.StringIO(piece[: cell.start()].decode(errors="replace"), newline="")
                rows = sum(bool(cells) for cells in csv.reader(before, delimiter=self._delimiter))
                ends_a_row = piece[: cell.start()].endswith((b"\n", b"\r")) or not cell.start()
                return rows if ends_a_row else rows - 1
        return None

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
