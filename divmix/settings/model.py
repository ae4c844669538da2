"""Every option of a fit: its default, range and help text, written once.

The command line, the `--config` file, the model file and the Python API all read these dataclasses.
A setting is converted and checked by `convert`, whichever way it came in.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from functools import cache
from typing import Any, Self, get_args, get_type_hints

from divmix.errors import UsageError


def option(
    default: Any = MISSING,
    *,
    help: str,
    section: str,
    flag: str | None = None,
    metavar: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] | None = None,
    unit: str | None = None,
) -> Any:
    """A dataclass field that knows its range, unit, help text and name on the command line.

    `section` is the heading it stands under in `--help`, `flag` its name as typed where that is not
    the field's name with dashes. A field without default is required. Where the type admits numbers
    as well as text, `choices` are the words allowed beside a number.
    """
    rules = dict(
        help=help,
        section=section,
        flag=flag,
        metavar=metavar,
        at_least=at_least,
        above=above,
        at_most=at_most,
        choices=choices,
        unit=unit,
    )
    return field(default=default, metadata=rules)


class Settings:
    """What the frozen dataclasses below share: checking, and the way to and from a document."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = convert(type(self), setting, getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON knows them: tuples become lists."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """The settings from `to_dict`. Raises UsageError for a name or value that does not fit."""
        known = {setting.name for setting in fields(cls)}
        for name in document:
            if name not in known:
                raise unknown_setting(name, known)
        missing = [f for f in fields(cls) if f.default is MISSING and f.name not in document]
        if missing:
            raise UsageError(f"{flag(missing[0])} is not given", hint=explain(missing[0]))
        return cls(**document)


@dataclass(frozen=True, kw_only=True)
class TableSettings(Settings):
    """Which columns of a table enter the fit, and how they are prepared."""

    columns: tuple[str, ...] | None = option(
        None,
        section="Columns",
        metavar="A,B",
        help="Columns to fit, separated by commas; all others stay out. Default: all of them.",
    )
    exclude: tuple[str, ...] = option(
        (), section="Columns", metavar="A,B", help="Columns to leave out, such as an id."
    )
    truth: str | None = option(
        None,
        section="Columns",
        metavar="COL",
        help="Column with known classes: kept out of the fit, compared with the clusters after it.",
    )
    weight: str | None = option(
        None,
        section="Columns",
        metavar="COL",
        help="Column with the weight of each row; an integer weight equals a repeated row.",
    )
    categorical: tuple[str, ...] = option(
        (),
        section="Columns",
        metavar="A,B",
        help="Number columns that are codes of categories. Text columns are categories anyway.",
    )
    scale: str = option(
        "standard",
        section="Columns",
        choices=("standard", "robust", "minmax", "none"),
        help="How columns are brought to one scale: by standard deviation, by quartiles, by range.",
    )
    log: tuple[str, ...] = option(
        (),
        section="Columns",
        metavar="A,B",
        help="Columns to take log(1 + x) of; 'auto' picks non-negative ones with a heavy tail.",
    )
    missing: str = option(
        "error",
        section="Columns",
        choices=("error", "drop", "mean"),
        help="Empty cells: refuse the table, drop the row, or put the column's mean there.",
    )
    max_categories: int = option(
        100,
        section="Columns",
        at_least=2,
        help="Refuse a text column with more categories than this.",
    )
    header: bool = option(
        True, section="Columns", help="Whether the first line of a CSV file holds column names."
    )
    encoder: str | None = option(
        None,
        section="Encoder",
        metavar="CHAIN",
        help="Embed the rows first: deskew, pca:E, spectral:E, umap:E, autoencoder:E or "
        "joint:E (an autoencoder trained along with the mixture) for E features, several with "
        "commas between, or images for deskew,pca:50,spectral:15. Pictures: autoencoder:E:conv "
        "convolves, :moved trains on pictures moved a little. "
        "Densities are then those of the embedding.",
    )
    image: str | None = option(
        None,
        section="Encoder",
        metavar="HxW",
        help="The columns are the pixels of pictures, row by row, such as 28x28.",
    )
    device: str = option(
        "cpu",
        section="Encoder",
        choices=("cpu", "cuda", "auto"),
        help="Where an autoencoder is trained.",
    )

    def image_size(self, columns: int) -> tuple[int, int] | None:
        """Height and width of the pictures in so many columns. Raises UsageError."""
        if self.image is None:
            return None
        height, _, width = self.image.lower().partition("x")
        if not (height.isdecimal() and width.isdecimal()):
            raise UsageError(
                f"--image {self.image} is not a size such as 28x28",
                hint="height x width, in pixels",
            )
        if int(height) * int(width) != columns:
            raise UsageError(
                f"--image {self.image} has {int(height) * int(width):,} pixels, the table "
                f"{columns:,} columns to fit",
                hint="choose the pixel columns with --columns, --exclude or --truth",
            )
        return int(height), int(width)


@dataclass(frozen=True, kw_only=True)
class FitSettings(Settings):
    """The mixture to fit, and how it is searched for."""

    clusters: int | str = option(
        section="Model",
        flag="-k",
        at_least=1,
        choices=("auto",),
        metavar="N|auto",
        help="Clusters to return, such as -k 10; auto takes the number with the lowest BIC.",
    )
    alpha: float | str = option(
        0.03,
        section="Model",
        at_least=0,
        choices=("auto",),
        metavar="A|auto",
        help="Weight of diversity: alpha in J = log-likelihood + alpha * entropy; 0 = plain "
        "maximum likelihood, auto = the best held-out log-likelihood. It keeps its meaning at "
        "any number of components: the published update's alpha is this one divided by the "
        "number of components.",
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
        "Default: chosen from clusters, rows and columns.",
    )
    merge: str = option(
        "auto",
        section="Model",
        choices=("auto", "kl", "overlap"),
        help="What a cluster of the diversified method is: kl one component (an ellipse), overlap "
        "a union of components of any shape; auto chooses by BIC.",
    )
    noise: bool = option(
        False,
        section="Model",
        help="Add a broad component for rows scattered among the clusters; their cluster is -1.",
    )
    weights: str | None = option(
        None,
        section="Model",
        choices=("learned", "uniform"),
        help="Weights of the components. Default: the method's own.",
    )
    seed: int = option(
        0, section="Model", at_least=0, help="Start of all random numbers: same seed, same result."
    )
    method: str = option(
        "diversified",
        section="Search",
        choices=("diversified", "nsvgd", "em"),
        help="diversified: relax, diversify, reduce, refine; nsvgd: the update as published "
        "(Wang & Liu 2019); em: expectation-maximisation.",
    )
    max_iter: int = option(500, section="Search", at_least=1, help="Most passes over the rows.")
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
        help="Stop after this long with the best found. Default: no limit.",
    )
    restarts: int = option(
        1,
        section="Search",
        at_least=1,
        help="Starts, side by side on the threads there are, of which the best is kept: the lowest "
        "BIC, which is the highest log-likelihood among fits of as many components.",
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
    init: str = option(
        "kmeans++",
        section="Search",
        choices=("kmeans++", "random"),
        help="Where components start: spread over the rows, or at random rows.",
    )
    drive: str | None = option(
        None,
        section="Search",
        choices=("em", "gradient"),
        help="What moves a component: the EM displacement or the plain gradient. "
        "Default: the method's own.",
    )
    kernel: str = option(
        "rbf",
        section="Search",
        choices=("rbf", "imq"),
        help="Kernel between components: Gaussian or inverse multiquadric.",
    )
    bandwidth: str | float | None = option(
        None,
        section="Search",
        above=0,
        choices=("median", "local"),
        help="Bandwidth of the kernel: the median distance, the components' own scale, or a "
        "number. Default: the method's own.",
    )
    optimizer: str = option(
        "adam",
        section="Search",
        choices=("adam", "rmsprop", "sgd"),
        help="Step rule of the plain gradient.",
    )
    step: float = option(
        0.05, section="Search", above=0, help="Learning rate of the plain gradient."
    )
    batch_size: int | None = option(
        None,
        section="Search",
        at_least=1,
        metavar="ROWS",
        help="Rows in a step. Default: all rows in each.",
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


@dataclass(frozen=True, kw_only=True)
class DetectTableSettings(TableSettings):
    """As for a fit; what differs is the preparation that shows anomalies best."""

    scale: str = option(
        "minmax",
        section="Columns",
        choices=("standard", "robust", "minmax", "none"),
        help="How columns are brought to one scale: by standard deviation, by quartiles, by range.",
    )
    log: tuple[str, ...] = option(
        ("auto",),
        section="Columns",
        metavar="A,B",
        help="Columns to take log(1 + x) of.  [default: auto, non-negative ones with a heavy tail]",
    )


@dataclass(frozen=True, kw_only=True)
class DetectSettings(Settings):
    """The density that anomalies are held against, and what is flagged."""

    fdr: float | None = option(
        None,
        section="Flags",
        above=0,
        at_most=1,
        metavar="Q",
        help="Flag so that at most this share of the flags is expected to be wrong "
        "(Benjamini-Hochberg). The default rule, with 0.05.",
    )
    alpha_level: float | None = option(
        None,
        section="Flags",
        above=0,
        at_most=1,
        metavar="P",
        help="Flag rows with a p-value up to this: the share of normal rows flagged by mistake.",
    )
    contamination: float | None = option(
        None,
        section="Flags",
        above=0,
        at_most=1,
        metavar="C",
        help="Flag this share of the rows scored, those with the highest scores.",
    )
    threshold: float | None = option(
        None,
        section="Flags",
        above=0,
        at_most=1,
        metavar="Q",
        help="Flag rows above this quantile of the scores that calibrate, such as 0.99.",
    )
    training: str = option(
        "auto",
        section="Density",
        choices=("auto", "clean", "mixed"),
        help="What the training rows are: clean (normal ones, learned in detail), or mixed (with "
        "anomalies among them, so that small groups and far rows have no say). auto: clean "
        "with --score, mixed where the table itself is scored.",
    )
    components: int | None = option(
        None,
        section="Density",
        at_least=1,
        metavar="M",
        help="Most components of the density.  [default: 64 for clean rows, 4 for mixed ones]",
    )
    seed: int = option(
        0,
        section="Density",
        at_least=0,
        help="Start of all random numbers: same seed, same result.",
    )
    threads: int | None = option(
        None,
        section="Density",
        at_least=1,
        help="Threads; the result does not depend on it. Default: the cores this process may use.",
    )

    def rule(self) -> tuple[str, float]:
        """The rule that flags rows and its level. Raises UsageError for more than one."""
        names = ("fdr", "alpha_level", "contamination", "threshold")
        given = [(name, getattr(self, name)) for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            flags = " and ".join(f"--{name.replace('_', '-')}" for name, _ in given)
            raise UsageError(f"{flags} are two rules", hint="one rule flags: keep one of them")
        return given[0] if given else ("fdr", 0.05)


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def types(cls: type, setting: Field) -> tuple[type, ...]:
    """The plain types that a setting's values may have: int, float, str, bool, tuple, NoneType."""
    hint = _hints(cls)[setting.name]
    if isinstance(hint, type):
        return (hint,)
    members = get_args(hint)
    if Ellipsis in members:
        return (tuple,)
    return tuple(m if isinstance(m, type) and not get_args(m) else tuple for m in members)


def flag(setting: Field) -> str:
    """The option as typed on the command line: `--max-iter`, `-k`, `--no-header`."""
    negation = "no-" if setting.default is True else ""
    return setting.metadata["flag"] or f"--{negation}{setting.name.replace('_', '-')}"


def limits(setting: Field) -> str:
    """The range in words, '' where there is none: `at least 0`, `above 0, at most 1`."""
    rules = setting.metadata
    words = {"at least": "at_least", "above": "above", "at most": "at_most"}
    return ", ".join(
        f"{word} {rules[rule]:g}" for word, rule in words.items() if rules[rule] is not None
    )


def explain(setting: Field) -> str:
    """One line that says what a setting is, for the hint of an error."""
    return f"{flag(setting)}: {setting.metadata['help'].split('. ')[0].rstrip('.')}"


def unknown_setting(name: str, known: set[str]) -> UsageError:
    """The error for a name that no setting has, with the nearest one in its hint."""
    from difflib import get_close_matches

    near = get_close_matches(str(name), known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"settings are: {', '.join(sorted(known))}"
    return UsageError(f"there is no setting '{name}'", hint=hint)


def convert(cls: type, setting: Field, value: Any, label: str | None = None) -> Any:
    """The value of a setting in its own type, checked against its range.

    Text is read as the command line would; `label` names the setting in the error as the user
    wrote it (default `--alpha -1`). Raises UsageError.
    """
    label = label or f"{flag(setting)} {value}"
    allowed, rules = types(cls, setting), setting.metadata
    if value is None and type(None) in allowed:
        return None
    if bool in allowed:
        converted, problem = value, "must be true or false" if not isinstance(value, bool) else None
    elif tuple in allowed:
        converted, problem = _names(value)
    elif rules["choices"] and value in rules["choices"]:
        return value
    elif float in allowed or int in allowed:
        converted, problem = _number(value, int if int in allowed else float)
        problem = problem or _out_of_range(converted, setting)
        if problem and rules["choices"]:
            words = ", ".join(rules["choices"])
            problem += f", or one of {words}" if len(rules["choices"]) > 1 else f", or {words}"
    elif rules["choices"]:
        converted, problem = value, f"must be one of {', '.join(rules['choices'])}"
    else:
        converted = value
        problem = None if isinstance(value, str) and value else "must be a name"
    if problem:
        raise UsageError(f"{label}: {problem}", hint=explain(setting))
    return converted


def _number(value: Any, kind: type) -> tuple[Any, str | None]:
    problem = "must be a whole number" if kind is int else "must be a number"
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        return None, problem
    exact = isinstance(value, str) or number == value
    if isinstance(value, bool) or not exact or not math.isfinite(number):
        return None, problem
    return number, None


def _out_of_range(number: float, setting: Field) -> str | None:
    rules = setting.metadata
    fits = (
        (rules["at_least"] is None or number >= rules["at_least"])
        and (rules["above"] is None or number > rules["above"])
        and (rules["at_most"] is None or number <= rules["at_most"])
    )
    return None if fits else f"must be {limits(setting)}"


def _names(value: Any) -> tuple[Any, str | None]:
    """Column names from `a,b`, a list of such or a list of names; a name with a comma in quotes."""
    if isinstance(value, str):
        value = next(csv.reader([value], skipinitialspace=True), [])
    names = tuple(value) if isinstance(value, (list, tuple)) else (None,)
    if not all(isinstance(name, str) and name for name in names):
        return None, "must be column names separated by commas"
    return names, None
