"""What a component is. A new family or structure is one class and one line here."""

from divmix.errors import UsageError
from divmix.families.axis_aligned import Diag, Known, Spherical
from divmix.families.categories import Categories, CategoryColumn
from divmix.families.coded import AnyMatrix, Coded
from divmix.families.common import CommonNumbers
from divmix.families.components import Components
from divmix.families.family import Array, DifferentiableFamily, Family, Moments, Prior
from divmix.families.gaussian import Gaussian
from divmix.families.location_scale import LocationScale
from divmix.families.matrix import Full, Tied
from divmix.families.mixed import Mixed
from divmix.families.student import Student

FAMILIES: dict[str, type[Gaussian] | type[Student]] = {"gaussian": Gaussian, "student": Student}
STRUCTURES = {"spherical": Spherical, "diag": Diag, "tied": Tied, "full": Full, "known": Known}

AnyFamily = Gaussian | Student | Mixed

__all__ = [
    "FAMILIES",
    "STRUCTURES",
    "AnyFamily",
    "AnyMatrix",
    "Array",
    "Categories",
    "CategoryColumn",
    "Coded",
    "CommonNumbers",
    "Components",
    "DifferentiableFamily",
    "Family",
    "Gaussian",
    "LocationScale",
    "Mixed",
    "Moments",
    "Prior",
    "Student",
    "make_family",
]


def make_family(
    family: str, covariance: str, floor: Array, categories: Categories | None = None
) -> AnyFamily:
    """The family `family` with structure `covariance` and variance floor (d,).

    With categories they are those of the numbers; where there is no number, the structure is
    diagonal, of no column. Raises UsageError where the two do not go together.
    """
    if family == "student" and covariance == "tied":
        raise UsageError(
            "--covariance tied is not available with --family student",
            hint="use spherical, diag or full",
        )
    if categories is None:
        return FAMILIES[family](STRUCTURES[covariance](), floor)
    of_numbers = floor[categories.numeric]
    structure = STRUCTURES[covariance if len(of_numbers) else "diag"]()
    return Mixed(FAMILIES[family](structure, of_numbers), categories, floor)
