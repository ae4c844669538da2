"""Whether p-values are what they say, and flags as seldom false as their rate.

Clean made tables, held against themselves or against known rows of the same kind: the share of
p-values up to a over a, and how many tables have any flag, all of which are false. The same tables
with wrong numbers in PLANTED of the rows: the share of false ones among the flags, 0 without flags.
Beside these split conformal p-values of isolation forest by nonconform, of known rows, and streams
(`benchmarks.streams`).
"""

import logging
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from divmix.anomaly.detector import calibration_of, fit_density, score_itself, score_rows
from divmix.anomaly.p_values import flags
from divmix.benchmarks import streams
from divmix.benchmarks.families import FIRST_SEED
from divmix.benchmarks.made_tables import clean
from divmix.benchmarks.made_tables.anomalies import values
from divmix.benchmarks.made_tables.clean import Clean
from divmix.benchmarks.made_tables.points import Points
from divmix.design.design import Design
from divmix.design.prepare import design_matrix
from divmix.design.preprocessing import Preprocessing
from divmix.errors import InputError
from divmix.progress import Progress
from divmix.settings import DetectSettings, TableSettings
from divmix.tables.batches import BATCH_ROWS

LEVELS = (0.05, 0.01, 0.001)
RATE = 0.05  # of false flags
PLANTED = 0.02  # share of the rows
CALIBRATING = 0.5  # share of the known rows, as divmix has it of small tables


class Drawn(NamedTuple):
    """Known rows, which are clean, and new ones; of both the same with anomalies planted in the rows
    `strange` (n,), bool."""

    known: pa.Table
    new: pa.Table
    known_planted: pa.Table
    new_planted: pa.Table
    strange: np.ndarray


class Judged(NamedTuple):
    """p-values (n,) and flags (n,) of clean rows, and the flags (n,) where anomalies are planted."""

    p_values: np.ndarray
    flagged: np.ndarray
    flagged_planted: np.ndarray


Judge: TypeAlias = Callable[[Drawn], Judged]


def run(
    seeds: int = 5,
    rows: int = 300,
    first_seed: int = FIRST_SEED,
    sets: tuple[str, ...] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Of `seeds` tables of each kind, with `rows` rows: P(p <= a) / a for each of LEVELS, the share of
    clean tables with a flag at RATE ("any flag"), and the mean share of the planted anomalies found and of
    false ones among the flags. Then as many streams, 20 at most.

    Expect about 2 seconds for a table of each kind. Raises InputError for an unknown kind.
    """
    progress = progress or Progress()
    told: list[dict[str, Any]] = []
    left_out = [] if find_spec("nonconform") else ["nonconform is not installed"]
    for kind in chosen(sets):
        progress.stage(f"{kind}: {seeds} tables")
        drawn = [draw(kind, rows, first_seed + i) for i in range(seeds)]
        for name, judge in judges().items():
            own = figures(drawn, [judge(each) for each in drawn])
            told.append({"kind": kind, "rows": rows, "method": name} | own)
            progress.note(", ".join(f"{key} {value}" for key, value in told[-1].items()))
    along = streams.run(min(seeds, streams.MOST), first_seed, progress)
    return {
        "title": f"p-values and flags at --fdr {RATE}, {seeds} tables of each kind, seeds from "
        f"{first_seed:,}",
        "rows": told,
        "worst": [worst(name, told) for name in judges()],
        "streams": along.rows,
        "left_out": left_out + along.left_out,
    }


def chosen(sets: tuple[str, ...] | None) -> list[str]:
    """Names of kinds, all if `sets` is None. Raises InputError."""
    for name in sets or ():
        if name not in clean.KINDS:
            known = "; ".join(clean.KINDS)
            raise InputError(f"there is no kind '{name}'", hint=f"the kinds are {known}")
    return [name for name in clean.KINDS if sets is None or name in sets]


def draw(kind: str, rows: int, seed: int) -> Drawn:
    """The tables of a kind for a seed, the same bits each time."""
    generator = np.random.default_rng([zlib.crc32(kind.encode()), rows, seed])
    both = clean.draw(kind, 2 * rows, generator)
    strange = np.arange(rows) < max(1, round(PLANTED * rows))
    planted = both.X.copy()
    for start in (0, rows):
        wrong = values(Points(both.X, np.ones(len(both.X), int)), int(strange.sum()), generator).X
        planted[start : start + len(wrong)] = wrong
    known, new, known_planted, new_planted = (
        pa.table(Clean(X[part], {name: of[part] for name, of in both.categories.items()}).columns())
        for X in (both.X, planted)
        for part in (slice(rows), slice(rows, None))
    )
    return Drawn(known, new, known_planted, new_planted, strange)


def judges() -> dict[str, Judge]:
    """What is measured, by its name; of packages those that are installed."""
    found: dict[str, Judge] = {"divmix, the table itself": against_itself}
    found["divmix, known rows"] = against_known
    if find_spec("nonconform"):
        found["nonconform, known rows"] = by_nonconform
    return found


def against_itself(drawn: Drawn) -> Judged:
    p_values, flagged = [], []
    for table in (drawn.known, drawn.known_planted):
        fitted = fit_density(table, DetectSettings(), itself=True)
        scored = score_itself(fitted)
        p_values.append(scored.p_value)
        known = calibration_of(fitted.mixture).scores
        flagged.append(flags(scored.score, scored.p_value, known, "fdr", RATE))
    return Judged(p_values[0], *flagged)


def against_known(drawn: Drawn) -> Judged:
    mixture = fit_density(drawn.known, DetectSettings(), itself=False).mixture
    known = calibration_of(mixture).scores
    p_values, flagged = [], []
    for table in (drawn.new, drawn.new_planted):
        scored = score_rows(mixture, table.to_batches(BATCH_ROWS))
        p_values.append(scored.p_value)
        flagged.append(flags(scored.score, scored.p_value, known, "fdr", RATE))
    return Judged(p_values[0], *flagged)


def by_nonconform(drawn: Drawn) -> Judged:
    """Split conformal p-values of scikit-learn's isolation forest. Raises ImportError without nonconform."""
    from nonconform import ConformalDetector, Split
    from sklearn.ensemble import IsolationForest

    logging.getLogger("nonconform").setLevel(logging.ERROR)  # it tells of each table without flags
    design = Design(Preprocessing.learn(drawn.known, TableSettings()))
    known, new, planted = (
        design_matrix(table, design, Progress(), unknown="ignore").X
        for table in (drawn.known, drawn.new, drawn.new_planted)
    )
    detector = ConformalDetector(
        detector=IsolationForest(random_state=0), strategy=Split(n_calib=CALIBRATING), seed=0
    )
    detector.fit(known)
    p_values = detector.compute_p_values(new)
    return Judged(p_values, *(detector.select(X, alpha=RATE) for X in (new, planted)))


def figures(drawn: list[Drawn], judged: list[Judged]) -> dict[str, float]:
    """Means over tables."""
    p_values = np.array([own.p_values for own in judged])
    share = {f"{level:g}": (p_values <= level).mean() / level for level in LEVELS}
    false, found = [], []
    for own, truth in zip(judged, drawn):
        flagged = own.flagged_planted
        false.append((flagged & ~truth.strange).sum() / max(1, flagged.sum()))
        found.append(flagged[truth.strange].mean())
    share |= {
        "any flag": np.mean([own.flagged.any() for own in judged]),
        "false": np.mean(false),
        "found": np.mean(found),
    }
    return {name: round(float(value), 4) for name, value in share.items()}


def worst(method: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The highest figure of all kinds, and what is found on average."""
    own = [row for row in rows if row["method"] == method]
    names = [*(f"{level:g}" for level in LEVELS), "any flag", "false"]
    highest = {name: max(row[name] for row in own) for name in names}
    found = round(float(np.mean([row["found"] for row in own])), 4)
    return {"method": method} | highest | {"found, mean": found}
