"""Every number of the default method, each with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How far each phase goes; chosen on generated tables (docs/method-parts.md tells the trials)."""

    # Rows that the search sees: enough for 80 of each cluster.
    sample_rows: int = 4_000
    sample_rows_per_cluster: int = 80
    # Components of the relaxed mixture: several for each cluster, 80 at least where the rows
    # carry them.
    components_per_cluster: int = 6
    least_components: int = 80
    at_least_per_cluster: int = 3
    # Rows of the prior in which starts of k components compete, times d + 1.
    competing_prior: float = 1.0
    # Rows of the prior that keeps many components apart from single rows, this share of n / m.
    relaxed_prior: float = 0.3
    relax_iterations: int = 15
    diversify_iterations: int = 5
    share: bool = True  # whether components that overlap share their drive in these
    level_iterations: int = 5
    broad_iterations: int = 4
    last_iterations: int = 20
    # From the middle of the table: one covariance for all, as wide as the table at first, parts the
    # components as it shrinks.
    centre_iterations: int = 100
    # Share of the components that a level keeps; of fewer than 2 k components the second.
    kept: float = 0.65
    kept_near_k: float = 0.85
    # Levels (components for each cluster) whose unions start a mixture of k components too.
    union_starts: tuple[float, ...] = (3, float("inf"))
    k_means_starts: int = 10  # compete with those
    # Best ones of these whose components together, thinned to k again, are one more: where clusters
    # are many each start misses some, and others than the next.
    together: int = 8
    rounds: int = 4  # of this, while J rises by it
    # Two-sided 5 %: starts that the rows do not tell from the best one count alike.
    alike: float = 1.96
    # Ways from other starts whose rich mixtures vote on unions too: what one start misses, the
    # next has.
    other_ways: int = 2
    # Rows of the prior of unions in the end, as a share of n / m.
    union_prior: float = 0.1
    # What a parameter costs where the number of components is in question (Bozdogan 1994); 2 to Akaike.
    per_parameter: float = 3.0
    # Difference of AIC3 from which on a richer mixture is better: that of two parameters.
    strong: float = 6.0
    # What counts as a cluster of its own: this share of 1 / k, and rows for each parameter.
    least_share: float = 0.03
    least_rows: int = 3
    # Nats of all rows together that an iteration brings: with less no comparison turns.
    settled: float = 0.04


SCHEDULE = Schedule()
