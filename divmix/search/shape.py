"""Where a cluster that is a union of components has its shape: among the numbers."""

from divmix.families import AnyMatrix, Components, Mixed
from divmix.families.family import Array
from divmix.families.noise import with_noise
from divmix.families.posterior import log_weights
from divmix.search.run import Searching


def shape_joint(searching: Searching, components: Components, X: AnyMatrix | None = None) -> Array:
    """log w_j p(numbers|theta_j) of rows X (n, d), those of the sample by default, (n, m); of
    categories alone theirs; beside noise (n, m + 1).

    Components of one shape lie beside each other, and what is between them is rows. Categories have
    no between: two components that a yes/no column splits share no row, however much they overlap
    in all numbers, and by it halves of one shape were farther apart than two shapes are.
    """
    family = searching.family
    X = searching.sample.held.X if X is None else X
    if not isinstance(family, Mixed) or not len(family.categories.numeric):
        return searching.objective().log_joint(X, components)
    beside = with_noise(components, searching.noise)
    log_densities = family.numbers.log_densities(family.numbers_of(X), family.of_numbers(beside))
    return log_weights(beside.weights) + log_densities
