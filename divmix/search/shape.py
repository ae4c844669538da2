"""Where a cluster that is a union of components has its shape: among the numbers."""

from divmix.families import Components, Mixed
from divmix.families.family import Array
from divmix.families.noise import with_noise
from divmix.families.posterior import log_weights
from divmix.search.run import Searching


def shape_joint(searching: Searching, components: Components) -> Array:
    """log w_j p(numbers|theta_j) of the rows of the sample, (n, m); of categories alone theirs;
    beside noise (n, m + 1).

    Components of one shape lie beside each other, and what is between them is rows. Categories have
    no between: two components that a yes/no column splits share no row, however much they overlap
    in all numbers, and by it halves of one shape were farther apart than two shapes are.
    """
    family = searching.family
    if not isinstance(family, Mixed) or not len(family.categories.numeric):
        return searching.log_joint(components)
    beside = with_noise(components, searching.noise)
    numbers = searching.sample.matrix.X[:, family.categories.numeric]
    log_densities = family.numbers.log_densities(numbers, family.of_numbers(beside))
    return log_weights(beside.weights) + log_densities
