"""Every number of the default method, each with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How far each phase goes. Found by trials on one half of 39 data sets, checked on the other."""

    # Rows that the search sees: enough for 80 of each cluster.
    sample_rows: int = 4_000
    sample_rows_per_cluster: int = 80
    # Components of the relaxed mixture: several for each cluster, 80 at least where rows carry them.
    components_per_cluster: int = 6
    least_components: int = 80
    at_least_per_cluster: int = 3
    # Rows of the prior that keeps many components apart from single rows, alpha n / m of them.
    relaxed_prior: float = 0.3
    relax_iterations: int = 15
    diversify_iterations: int = 5
    birth_iterations: int = 2
    level_iterations: int = 5
    broad_iterations: int = 4
    last_iterations: int = 20
    # Share of the components that a level keeps; of fewer than 2 k components the second.
    kept: float = 0.65
    kept_near_k: float = 0.85
    # Levels (components for each cluster) whose unions start a mixture of k components too.
    union_starts: tuple[float, ...] = (3, float("inf"))
    start_prior: float = 0.1  # in which the starts of the mixture of k components compete
    margin: float = 0.02  # nats per row by which unions must beat k components
    # What counts as a cluster of its own: this share of 1 / k, and rows for each parameter.
    least_share: float = 0.03
    least_rows: int = 3
    plain_starts: int = 30  # of fits for alpha 0
    plain_iterations: int = 100
    # Of few rows the result depends on where the components start: the search is repeated.
    searches: int = 5
    few_rows: int = 2_500
    settled: float = 1e-5  # nats per row


SCHEDULE = Schedule()
