"""The default method: relax to many components, thin them out, read k clusters off, refine.

The paper's own first step, a mixture relaxed to a distribution of components, is taken at its
word: many more components than clusters are fitted to a sample of rows, and thinned out by merging
the pairs that cost least, each level refitted. Clusters are ellipses where a mixture of k
components describes the rows best (BIC); else they are unions of components that overlap.

Every component has a base measure of alpha n / m rows scattered like the rows of the table within
their components: what J = F + alpha H, with the entropy taken relative to a broad base, asks of a
component. While components are many, alpha is at least RELAXED_ALPHA; it is annealed to its value
at the end.
"""

from typing import NamedTuple

import numpy as np

from divmix.families import Components, Gaussian
from divmix.families.structure import Base
from divmix.fitting import initialization, reduction
from divmix.fitting.data_term import InMemory
from divmix.fitting.loop import climb
from divmix.fitting.monitor import Monitor
from divmix.fitting.steps import em_step
from divmix.settings import FitSettings

# Found by trials on half of 39 data sets, checked on the others.
SAMPLE_ROWS, SAMPLE_ROWS_PER_CLUSTER = 4_000, 80  # rows that the relaxed mixture sees
COMPONENTS_PER_CLUSTER, LEAST_COMPONENTS = 6, 80
RELAXED_ALPHA = 0.3
KEPT_AT_A_LEVEL = 0.65  # share of the components that a level keeps
KEPT_NEAR_K = 0.85
START_ITERATIONS, LEVEL_ITERATIONS, LAST_ITERATIONS = 15, 5, 20
BROAD_ITERATIONS = 4
SETTLED = 1e-5  # nats per row, on the sample
OTHER_STARTS = (3, 99)  # levels, in components per cluster, whose unions start a k-mixture too


class Level(NamedTuple):
    """A mixture on the way from many components to k, and its BIC per row in nats."""

    components: Components
    bic: float


class Reduced(NamedTuple):
    """Components and the cluster (m,) of each; whether each cluster is one component."""

    components: Components
    clusters: np.ndarray
    ellipses: bool
