"""Places in arrays, as NumPy's functions find them, without the seconds that Numba needs for those."""

from divmix.kernels.compile import helper


@helper
def first_above(ascending, value):
    """The first place of a number above the value; how many there are where none is."""
    low, high = 0, len(ascending)
    while low < high:
        middle = (low + high) // 2
        if ascending[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low


@helper
def lowest(values):
    """The place of the least number, the first where several are."""
    place = 0
    for at in range(1, len(values)):
        if values[at] < values[place]:
            place = at
    return place
