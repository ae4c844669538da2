"""How a workflow tells its caller what it is doing. The one here says nothing."""

from typing import NamedTuple


def counted(count: int, thing: str) -> str:
    """How many things there are, in words: 1 iteration, 1,234 iterations."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


class Value(NamedTuple):
    """J = F + alpha H + log prior of components, nats per row.

    log_likelihood F is the mean per row, entropy H as `kernels` tell it, log_prior that of a prior
    on covariances, 0 without one.
    """

    log_likelihood: float
    entropy: float
    alpha: float = 0.0
    log_prior: float = 0.0

    @property
    def objective(self) -> float:
        """J."""
        return self.log_likelihood + self.alpha * self.entropy + self.log_prior


class TraceRow(NamedTuple):
    """One iteration of a fit, one line of `trace.csv`.

    `log_likelihood` is the mean per row in nats, over `rows` rows: those of a sample while
    components are searched, all in the end. `objective` is log_likelihood + alpha * entropy +
    log_prior; it never falls within a climb (the steps of nsvgd and of `update` are none).
    `effective_components` is exp(entropy); `seconds` the
    time since the start of the fit, `gap` an upper bound on what the log-likelihood could still
    gain (None where it was not computed).
    """

    iteration: int
    phase: str
    components: int
    log_likelihood: float
    entropy: float
    objective: float
    step: float
    seconds: float
    alpha: float
    log_prior: float
    effective_components: float
    rows: int
    gap: float | None = None


class Progress:
    """Listens to a workflow and does nothing; a front end overrides what it wants to show."""

    def stage(self, message: str, done: float = 0.0) -> None:
        """A new part of the work begins, "reading table.csv", or goes on: `done` is the share of it
        that is behind."""

    def iteration(self, row: TraceRow, limit: int) -> None:
        """One iteration of a fit is done, of at most `limit`."""

    def rows(self, done: int, total: int | None) -> None:
        """`done` rows are read or written, of `total` (None where that is not known)."""

    def output(self) -> None:
        """Rows go to stdout from now on, which may be the terminal that shows the progress."""

    def note(self, message: str) -> None:
        """Something the user should know: what was chosen automatically, what was left out."""
