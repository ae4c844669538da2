"""How an error names a row."""

from collections.abc import Callable
from typing import TypeAlias

Locate: TypeAlias = Callable[[int], str]
"""Names a row in an error, by its place from 0: 17 -> 'data.csv row 18'."""


def row_name(row: int) -> str:
    """A row counted from 1, where nothing more is known of it; a header line is not counted."""
    return f"row {row + 1:,}"
