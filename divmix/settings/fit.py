"""What can be set for a fit by any method."""

from dataclasses import dataclass
from typing import Any

from divmix.settings.option import Settings, option

METHOD_NAMES = ("diversified", "nsvgd", "em")


def method_option(*names: str) -> Any:
    """The field `method` of a class: all names for what methods share, its own for each of them."""
    return option(
        names[0],
        section="Search",
        choices=names,
        help="diversified: relax, diversify, reduce, refine; nsvgd: the update as published "
        "(Wang & Liu 2019); em: expectation-maximisation.",
    )


@dataclass(frozen=True, kw_only=True)
class FitSettings(Settings):
    """The mixture to fit and the limits of the search: what every method can be told.

    Each method has a class of its own in `divmix.settings.methods`, with the options that are its
    own; this one is their type, and is not made itself (TypeError).
    """

    clusters: int | str = option(
        "auto",
        section="Model",
        flag="-k",
        at_least=1,
        choices=("auto",),
        metavar="N|auto",
        help="Clusters to return, such as -k 10; auto takes the number with the lowest ICL.",
    )
    family: str = option(
        "auto",
        section="Model",
        choices=("auto", "gaussian", "student"),
        help="Density of a component; student has heavier tails and resists outliers. auto: "
        "gaussian, but student for what a graph of neighbours embeds, whose clusters are dense "
        "with far rows.",
    )
    covariance: str = option(
        "auto",
        section="Model",
        choices=("auto", "spherical", "diag", "tied", "full"),
        help="Shape of a component; auto chooses from the data and says what it chose.",
    )
    components: int | None = option(
        None,
        section="Model",
        at_least=1,
        metavar="M",
        help="Components in the mixture before it is reduced to clusters. "
        "Default: chosen from clusters, rows and columns; "
        "as many as clusters for nsvgd and em.",
    )
    weights: str | None = option(
        None,
        section="Model",
        choices=("learned", "uniform"),
        help="Weights of the components. Default: learned; uniform for nsvgd.",
    )
    seed: int = option(
        0, section="Model", at_least=0, help="Start of all random numbers: same seed, same result."
    )
    method: str = method_option(*METHOD_NAMES)
    max_iter: int = option(
        500,
        section="Search",
        at_least=1,
        help="Most iterations of the phase that runs to convergence: refine of diversified (the search "
        "before it takes about 100 on a sample of rows), all of em; steps of nsvgd.",
    )
    tol: float = option(
        1e-5,
        section="Search",
        at_least=0,
        unit="nats per row",
        help="Stop when the log-likelihood changes by less than this.",
    )
    time_budget: float | None = option(
        None,
        section="Search",
        above=0,
        metavar="SECONDS",
        help="Stop the search after this long with the best found; what is left is to label and to "
        "write. Default: no limit.",
    )
    restarts: int = option(
        1,
        section="Search",
        at_least=1,
        help="Starts, side by side on the threads there are, of which the best is kept: the lowest "
        "BIC, which is the highest log-likelihood among fits of as many components.",
    )
    bootstrap: int | None = option(
        None,
        section="Search",
        at_least=10,
        metavar="N",
        help="Fit also N tables of rows drawn with replacement: how often each cluster is found "
        "again, and after a fit 95 % intervals of its weight and means. Takes N times as long.",
    )
    gap: bool = option(
        False,
        section="Search",
        help="After the fit, bound what the best mixture of any number of components, none much "
        "narrower than these, could still gain on the rows of the search. Takes seconds.",
    )
    require_convergence: bool = option(
        False, section="Search", help="Exit with code 6 when the fit stopped before it converged."
    )
    floor: float = option(
        1e-6,
        section="Search",
        above=0,
        at_most=1,
        help="Smallest variance of a component, as a share of each column's variance.",
    )
    precision: str = option(
        "auto",
        section="Search",
        choices=("auto", "float32", "float64"),
        help="Arithmetic on the rows; sums are float64 in any case. auto: float32 on large tables "
        "while components still travel, float64 for the last steps.",
    )
    threads: int | None = option(
        None,
        section="Search",
        at_least=1,
        help="Threads; the result does not depend on it. Default: the cores this process may use.",
    )

    def __post_init__(self) -> None:
        if type(self) is FitSettings:
            raise TypeError("FitSettings has no method: use fit_settings, or the class of a method")
        super().__post_init__()

    # What the rows and the search ask of every method, with the answer of one without the option.

    @property
    def alpha(self) -> float | str:
        """Weight of the entropy in the objective; a number, or "auto" until it is settled."""
        return 0.0

    @property
    def noise(self) -> bool:
        """Whether a broad component stands beside the clusters."""
        return False
