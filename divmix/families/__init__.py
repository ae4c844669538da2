"""What a component is. A new family or structure is one class and one line here."""

from divmix.errors import UsageError
from divmix.families.axis_aligned import Diag, Known, Spherical
from divmix.families.components import Components
from divmix.families.family import Array, DifferentiableFamily, Family, Moments, Prior
from divmix.families.gaussian import Gaussian
from divmix.families.location_scale import LocationScale
from divmix.families.matrix import Full, Tied
from divmix.families.student import Student

FAMILIES: dict[str, type[Gaussian] | type[Student]] = {"gaussian": Gaussian, "student": Student}
STRUCTURES = {"spherical": Spherical, "diag": Diag, "tied": Tied, "full": Full, "known": Known}

AnyFamily = Gaussian | Student

__all__ = [
    "FAMILIES",
    "STRUCTURES",
    "AnyFamily",
    "Array",
    "Components",
    "DifferentiableFamily",
    "Family",
    "Gaussian",
    "LocationScale",
    "Moments",
    "Prior",
    "Student",
    "make_family",
]


def make_family(family: str, covariance: str, floor: Array) -> Gaussian | Student:
    """The family `family` with structure `covariance` and variance floor (d,).

    Raises UsageError where the two do not go together.
    """
    if family == "student" and covariance == "tied":
        raise UsageError(
            "--covariance tied is not available with --family student",
            hint="use spherical, diag or full",
        )
    return FAMILIES[family](STRUCTURES[covariance](), floor)
