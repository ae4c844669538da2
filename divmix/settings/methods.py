"""The options of each method: what every method has, and its own."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from divmix.errors import UsageError
from divmix.settings.fit import FitSettings, method_option
from divmix.settings.option import convert, flag, option, unknown_setting

DEFAULT_METHOD = "diversified"
# What `divmix select` sets beside the columns: clusters are a range there, the rest is the default.
SELECT_SETTINGS = ("family", "covariance", "bootstrap", "seed", "threads")
DEFAULT_ALPHA = 0.03  # of that method, by the tables of docs/benchmarks.md

# Options of two methods are the same ones: their texts and ranges stand once.


def _init() -> Any:
    return option(
        "kmeans++",
        section="Search",
        after="require_convergence",
        choices=("kmeans++", "random", "centre"),
        help="Where components start: spread over the rows, at random rows, or all within a "
        "quarter of a standard deviation of the mean.",
    )


def _noise() -> Any:
    return option(
        False,
        section="Model",
        after="merge",
        help="Add a broad component for rows scattered among the clusters; their cluster is -1.",
    )


def _batch_size() -> Any:
    return option(
        None,
        section="Search",
        after="step",
        at_least=1,
        metavar="ROWS",
        help="Rows in a step. Default: all rows in each.",
    )


@dataclass(frozen=True, kw_only=True)
class DiversifiedSettings(FitSettings):
    """The default method: relax, diversify, reduce, refine."""

    method: str = method_option("diversified")
    alpha: float | str = option(
        DEFAULT_ALPHA,
        section="Model",
        after="clusters",
        at_least=0,
        choices=("auto",),
        metavar="A|auto",
        help="Weight of diversity: alpha in J = log-likelihood + alpha * entropy of the "
        "components; auto = the best held-out log-likelihood (diversified only).",
    )
    prior: float | str = option(
        0.0,
        section="Model",
        after="alpha",
        at_least=0,
        choices=("auto",),
        metavar="P|auto",
        help="Smoothing of covariances, for densities: a prior of P (d + 1) rows for each "
        "component, for d columns, scattered as the rows within components are. auto: 0 or 1, by "
        "held-out log-likelihood. Unions of components keep a small one in any case.",
    )
    merge: str = option(
        "auto",
        section="Model",
        after="components",
        choices=("auto", "kl", "overlap"),
        help="What a cluster of the diversified method is: kl one component (an ellipse), overlap "
        "a union of components of any shape; auto chooses by AIC3.",
    )
    noise: bool = _noise()
    init: str = _init()


@dataclass(frozen=True, kw_only=True)
class NsvgdSettings(FitSettings):
    """Nonlinear Stein variational gradient descent as published (Wang & Liu 2019)."""

    method: str = method_option("nsvgd")
    alpha: float = option(
        0.25,
        section="Model",
        after="clusters",
        at_least=0,
        metavar="A",
        help="Weight of diversity: alpha in J = log-likelihood + alpha * entropy of the "
        "components. It keeps its meaning at any number of components: the published temperature "
        "is this divided by it.",
    )
    max_iter: int = option(
        20_000,
        section="Search",
        at_least=1,
        help="Most iterations of the phase that runs to convergence: refine of diversified "
        "(the search before it takes about 100 on a sample of rows), all of em; steps of nsvgd.",
    )
    anneal: float | None = option(
        None,
        section="Search",
        after="init",
        above=0,
        metavar="A0",
        help="Take alpha from A0 to its value, in equal ratios over --max-iter steps.",
    )
    init: str = _init()
    kernel: str = option(
        "rbf",
        section="Search",
        after="drive",
        choices=("rbf", "imq"),
        help="Kernel between components: Gaussian or inverse multiquadric.",
    )
    bandwidth: str | float = option(
        "median",
        section="Search",
        after="kernel",
        above=0,
        choices=("median", "narrow", "local"),
        help="Bandwidth of the kernel: by the median distance of all pairs, that divided by "
        "sqrt(2 log(m + 1)), the components' own scale, or a number.",
    )
    normalize: str = option(
        "rows",
        section="Search",
        after="bandwidth",
        choices=("rows", "mean"),
        help="What sums over components are divided by: the sum of the kernel over them, as in "
        "the authors' programs, or their number, as in the paper.",
    )
    optimizer: str = option(
        "rmsprop",
        section="Search",
        after="normalize",
        choices=("rmsprop", "adam", "sgd"),
        help="Step rule of the plain gradient.",
    )
    step: float = option(
        0.05,
        section="Search",
        after="optimizer",
        above=0,
        help="Learning rate of the plain gradient.",
    )
    batch_size: int | None = option(
        512,
        section="Search",
        after="step",
        at_least=1,
        metavar="ROWS",
        help="Rows in a step; all of a table that has no more.",
    )


@dataclass(frozen=True, kw_only=True)
class EmSettings(FitSettings):
    """Expectation-maximisation."""

    method: str = method_option("em")
    noise: bool = _noise()
    init: str = _init()
    batch_size: int | None = _batch_size()


METHODS: dict[str, type[FitSettings]] = {
    "diversified": DiversifiedSettings,
    "nsvgd": NsvgdSettings,
    "em": EmSettings,
}


def fit_settings(method: str = DEFAULT_METHOD, **options: Any) -> FitSettings:
    """The settings of a method; `fit_settings(**settings.to_dict())` makes them again.

    Raises UsageError for an unknown method or option, for an option that the method does not have
    (the hint names the methods which have it), and for a value that does not fit.
    """
    of_method = settings_class(method)
    for name, value in options.items():
        having = methods_with(name)
        if not having:
            raise unknown_setting(name, {known for cls in METHODS.values() for known in names(cls)})
        if method not in having:
            setting = next(f for f in fields(METHODS[having[0]]) if f.name == name)
            typed = flag(setting) if value is True else f"{flag(setting)} {value}"
            raise not_of_method(method, [name], typed)
    return of_method.from_dict({"method": method} | options)


def settings_class(method: str) -> type[FitSettings]:
    """The class of a method's settings. Raises UsageError for a method that there is not."""
    setting = next(setting for setting in fields(FitSettings) if setting.name == "method")
    return METHODS[convert(FitSettings, setting, method)]


def names(cls: type[FitSettings]) -> list[str]:
    """The names of a method's settings."""
    return [setting.name for setting in fields(cls)]


def methods_with(name: str) -> list[str]:
    """The methods that have a setting of this name; none where there is no such setting."""
    return [method for method, cls in METHODS.items() if name in names(cls)]


def not_of_method(
    method: str, settings: Sequence[str], written: str, way_out: str = ""
) -> UsageError:
    """The error for settings that a method does not have; its hint names the methods which do.

    written: the settings as the user wrote them; way_out: what else can be done, in words.
    """
    several = len(settings) > 1
    having = [method for method in METHODS if all(method in methods_with(n) for n in settings)]
    if having:
        verb = "have" if len(having) > 1 else "has"
        methods = " and ".join(f"--method {name}" for name in having)
        hint = f"{methods} {verb} {'them' if several else 'it'}"
    else:
        hint = "; ".join(
            f"'{name}' is of --method {' and '.join(methods_with(name))}" for name in settings
        )
    options = "options" if several else "option"
    return UsageError(
        f"{written}: the method {method} has no such {options}",
        hint=f"{hint}; {way_out}" if way_out else hint,
    )
