"""What anomalies are held against, and which rows are flagged."""

from dataclasses import dataclass
from typing import ClassVar

from divmix.errors import UsageError
from divmix.settings.option import Settings, option
from divmix.settings.table import TableSettings

# Of 25 made tables, those with up to a tenth of anomalies (19): .64 of these are found at 0.05, .70 at 0.1,
# .71 at 0.2; the share of false flags is .013, .014 and .028.
DEFAULT_RULE = ("fdr", 0.1)


@dataclass(frozen=True, kw_only=True)
class DetectTableSettings(TableSettings):
    """As for a fit; what differs is the preparation that shows anomalies best."""

    may_model: ClassVar[bool] = False

    scale: str = option(
        "minmax",
        section="Columns",
        choices=("standard", "robust", "minmax", "none"),
        help="How columns are brought to one scale: by standard deviation, by quartiles, by range.",
    )
    missing: str = option(
        "error",
        section="Columns",
        choices=("error", "drop", "mean", "median"),
        help="Empty cells, where a score needs a value in each: refuse the table, drop the row, or put "
        "the column's mean or median there.",
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
        "(Benjamini-Hochberg). The default rule, with 0.1.",
    )
    storey: bool = option(
        False,
        section="Flags",
        help="With --fdr: at the level over the share of normal rows, estimated from the p-values "
        "above one half (Storey). Flags more where anomalies are many.",
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
    online: str | None = option(
        None,
        section="Flags",
        choices=("lond", "saffron"),
        help="With --model DIR and --fdr: keep the rate over all batches that ever came, not within "
        "each. The account is DIR/online.json. saffron flags more; lond holds for p-values of "
        "any positive dependence.",
    )
    weight_shift: bool = option(
        False,
        section="Flags",
        help="With --score NEW: p-values for rows whose columns are distributed otherwise than in "
        "DATA: known rows weigh by how likely they are among NEW (a logistic regression tells).",
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
        help="Most components of a mixture.  [default: 64 for clean rows, 4 for mixed ones and, of "
        "100 rows or more, one mixture of a component for each 20, of 64 at most]",
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
        for name in ("storey", "online"):
            if getattr(self, name) and given and given[0][0] != "fdr":
                raise UsageError(
                    f"--{name} is about --fdr", hint=f"leave --{name} out, or use --fdr"
                )
        if self.online and self.storey:
            raise UsageError(
                "--storey is about one table, --online about many",
                hint="--online saffron has the same share of normal rows in it",
            )
        return given[0] if given else DEFAULT_RULE
