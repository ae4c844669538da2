"""Whether there is memory for a graph of neighbours, before the work begins."""

from divmix.encoders.neighbours import NEIGHBOURS
from divmix.errors import InputError
from divmix.memory import available

BYTES_PER_EDGE = 90  # of the search and of the sparse matrices on the way to a symmetric graph


def check_graph(name: str, rows: int, features: int, vectors: int) -> None:
    """Raises InputError where a graph of `rows` rows and its eigenvectors cannot be held."""
    lanczos = max(2 * (vectors + 1) + 1, 20)  # as many vectors as ARPACK works with
    numbers = 0.5 * features + lanczos + 4 * vectors
    needed = rows * (8 * numbers + BYTES_PER_EDGE * (NEIGHBOURS + 1))
    there = available()
    if there is not None and needed > there:
        raise InputError(
            f"--encoder {name}: the graph of {rows:,} rows needs {_gigabytes(needed)} of memory, "
            f"{_gigabytes(there)} are free",
            hint="fit on fewer rows, and label the others by predict",
        )


def _gigabytes(number: float) -> str:
    return f"{number / 1e9:.3g} GB"
