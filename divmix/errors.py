"""The kinds of error a user can meet, each with its exit code and a hint that says what to do."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Instead(NamedTuple):
    """What a command line is to have in place of a table that cannot be read.

    table : how the command line names it. by : the name of what can be read; "-" is what the shell
    command `through` prints, which is "" where a person has to act first.
    """

    table: str
    by: str
    through: str = ""


class DivmixError(Exception):
    """An error with a remedy.

    Parameters
    ----------
    message : what went wrong and where (file, row, column, value).
    hint : what to do about it, one line.
    fix : settings of the table, by name, that get round it; names of columns are to be added.
    instead : a table that gets round it, None where there is none.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        fix: Mapping[str, Any] | None = None,
        instead: Instead | None = None,
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.fix = dict(fix or {})
        self.instead = instead

    def __reduce__(self) -> tuple[Any, ...]:
        """From one process to another, whatever the arguments of a subclass are."""
        return _made_again, (type(self), self.args, self.__dict__)


class UsageError(DivmixError):
    """An option that cannot be served as typed."""

    exit_code = 2


class OutputError(UsageError):
    """An output that exists already or cannot be written."""


class MissingExtraError(UsageError):
    """A feature whose optional packages are not installed."""


class InputError(DivmixError):
    """Data that cannot be read or fitted."""

    exit_code = 3


class ModelFileError(DivmixError):
    """A model file that is broken, foreign or too new."""

    exit_code = 4


class FitError(DivmixError):
    """A fit that could not be carried to its end."""

    exit_code = 5


class NotConvergedError(DivmixError):
    """A fit that ended before it converged, where convergence was required."""

    exit_code = 6


class CheckpointError(DivmixError):
    """A checkpoint that is damaged, or of another run."""

    exit_code = 7


def _made_again(
    kind: type[DivmixError], arguments: tuple[Any, ...], own: dict[str, Any]
) -> DivmixError:
    error = kind.__new__(kind)
    Exception.__init__(error, *arguments)
    error.__dict__.update(own)
    return error
