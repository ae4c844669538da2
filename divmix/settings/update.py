"""How a model is continued with new rows."""

from dataclasses import dataclass

from divmix.settings.option import Settings, option


@dataclass(frozen=True, kw_only=True)
class UpdateSettings(Settings):
    """How much the past counts, and the limits of the climb; all else is that of the model."""

    decay: float = option(
        1.0,
        section="Model",
        at_least=0,
        at_most=1,
        help="What the rows behind MODEL count from now on, as a share of what they counted: 1 "
        "keeps all, 0.9 with an update each day halves a row's say in a week, 0 forgets them.",
    )
    max_iter: int = option(
        500, section="Search", at_least=1, help="Most iterations; few are needed as a rule."
    )
    time_budget: float | None = option(
        None,
        section="Search",
        above=0,
        metavar="SECONDS",
        help="Stop after this long with what is there. Default: no limit.",
    )
    threads: int | None = option(
        None,
        section="Search",
        at_least=1,
        help="Threads; the result does not depend on it. Default: the cores this process may use.",
    )
