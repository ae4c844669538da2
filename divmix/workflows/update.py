"""Continue from a model with new rows, and tell how far these have drifted."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from divmix.core import Before, Interrupted, continue_fit
from divmix.design.prepare import DesignMatrix, design_matrix
from divmix.drift import LEVEL, Drift, Figure, distance_of, drift, spreads
from divmix.engine.monitor import Monitor
from divmix.errors import InputError, UsageError
from divmix.matching import numbers_like, shared_weight
from divmix.merging.hierarchy import Hierarchy
from divmix.merging.tree import merge_tree
from divmix.model.mixture import Mixture
from divmix.model.scores import Scores, blank
from divmix.model.tally import tallied
from divmix.progress import Progress
from divmix.settings import FitSettings, UpdateSettings, fit_settings
from divmix.tables.reading import open_table
from divmix.workflows import run_folder, summary
from divmix.workflows.beside import NOTHING_BESIDE, Beside, parted
from divmix.workflows.fit import notes_on_rows, offset_of, rows_of
from divmix.workflows.fitted import Fit
from divmix.workflows.resources import limited_threads

MOVED = 3  # columns that are named
TWICE = "the rows are those that the model was fitted to: they count twice"


def run_update(
    model: str | Path,
    sources: Sequence[str],
    settings: UpdateSettings,
    output: Path,
    *,
    overwrite: bool = False,
    unknown: str = "error",
    encoding: str | None = None,
    assignments_format: str = "csv",
    beside: Beside = NOTHING_BESIDE,
    csv_safe: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any] | None:
    """Continue from a model with the tables in `sources` and write the run folder `output`.

    The way from a table to rows stays that of the model; `unknown` and `encoding` as for
    `run_predict`, `beside` has columns of the input for the assignments. Returns the document of
    run.json, or None when `should_stop` ended the fit: then nothing is written. Raises
    ModelFileError, InputError, UsageError, FitError, OutputError.
    """
    progress, started = progress or Progress(), time.monotonic()
    old, former = Mixture.load(model), run_folder.digest_of(model)
    own = settings_of(old, settings)
    with run_folder.claimed(output, overwrite) as place:
        progress.stage("reading " + ", ".join(map(str, sources)))
        reader = open_table(sources, **_reading_options(old), encoding=encoding)
        names = beside.names(reader)
        table, written = parted(reader.read(names), len(reader.names))
        source = reader.describe()
        notes = [*reader.notes, *([TWICE] if source["sha256"] == former else [])]
        read = time.monotonic()
        with limited_threads(settings.threads, progress):
            matrix = design_matrix(table, old.design, progress, reader.locate, unknown)
            _check_some_row(matrix, sources)
            monitor = Monitor(settings.time_budget, should_stop, progress, offset_of(matrix))
            try:
                new, stop_reason = updated(old, matrix, own, settings.decay, monitor)
            except Interrupted:
                return None
            progress.stage("labelling rows")
            before, after = old.score(matrix.X), new.score(matrix.X)
            told = _drift(old, new, matrix, before, after, own, settings.decay)
        after = after._replace(log_density=after.log_density + matrix.log_jacobian)
        after = blank(after, ~matrix.complete)
        fit = Fit(
            new,
            after,
            matrix.row_weights,
            tallied(new.n_clusters, after, matrix.row_weights),
            monitor.trace,
            stop_reason,
            new.about["entropy"],
            [*notes, *notes_on_rows(matrix)],
            matrix.X,
        )
        document = summary.run_document(
            fit,
            settings={"seed": own.seed} | old.about["settings"] | settings.to_dict(),
            origins={},
            source=source | {"rows": table.num_rows},
            evaluation=None,
            times={"read": read - started, "fit": time.monotonic() - read},
            command="update",
        )
        document |= {"model": str(model), "columns": _columns(new), "drift": told}
        progress.stage(f"writing {output}")
        rows = beside.all_joined(run_folder.assignments(fit.scores), written, names)
        with place.built() as folder:
            assigned = folder / f"assignments.{assignments_format}"
            run_folder.write_table(assigned, rows, False, sparing=bool(names), csv_safe=csv_safe)
            run_folder.write(folder, fit, document, None, csv_safe)
    return document


def settings_of(mixture: Mixture, settings: UpdateSettings) -> FitSettings:
    """What the model was fitted with, and the limits of the update. Raises UsageError for a model
    that cannot be continued."""
    if mixture.calibration is not None:
        raise UsageError(
            "the model is one of detect, whose scores are calibrated by the rows it has seen",
            hint="run divmix detect on the old and the new table together",
        )
    known = mixture.about["settings"]
    if known.get("method") == "nsvgd":
        raise UsageError(
            "the model was fitted with --method nsvgd, whose steps know no rows of the past",
            hint="fit again, or continue from a fit with --method diversified or em",
        )
    # Where a model knows no prior its alpha was one, as it was called at first.
    alpha = known.get("alpha", 0.0) if "prior" in known else 0.0
    return fit_settings(
        alpha=float(alpha),
        seed=known.get("seed", 0),
        weights=known.get("weights"),
        tol=known.get("tol", 1e-5),
        max_iter=settings.max_iter,
        threads=settings.threads,
        time_budget=settings.time_budget,
    )


def updated(
    old: Mixture, matrix: DesignMatrix, settings: FitSettings, decay: float, monitor: Monitor
) -> tuple[Mixture, str]:
    """The mixture after the rows of a matrix, clusters numbered as they were, and why it stopped.

    `decay` is what its own rows still count. Raises FitError, Interrupted.
    """
    about = old.about
    weight, offset = decay * weight_of(old), monitor.offset
    known = about["log_likelihood"]
    before = Before(
        old.family,
        old.components,
        old.noise,
        old.common_numbers,
        old.fitted_structure,
        weight,
        0.0 if known is None else known - offset,
    )
    rows = rows_of(old.design, matrix, settings)
    components, noise, stop_reason = continue_fit(rows, before, settings, monitor)
    entropy = old.family.overlap(components, gradient=False).entropy
    last = monitor.trace[-1].log_likelihood
    new = replace(
        old,
        components=components,
        noise=noise,
        hierarchy=_hierarchy(old, components),
        about=about
        | {
            "rows": about["rows"] + len(matrix.X),
            "rows_used": about["rows_used"] + int((matrix.row_weights > 0).sum()),
            "weight": weight + rows.total_weight,
            "log_likelihood": None if known is None else last,
            "entropy": entropy,
            "effective_components": float(np.exp(entropy)),
        },
    )
    return _same_numbers(old, new, matrix, settings.seed), stop_reason


def weight_of(mixture: Mixture) -> float:
    """Weight of the rows that a model stands for."""
    return float(mixture.about.get("weight", mixture.about["rows_used"]))


def _same_numbers(old: Mixture, new: Mixture, matrix: DesignMatrix, seed: int) -> Mixture:
    """The new mixture, its clusters numbered like those of the old one that share the most rows:
    new ones, and rows drawn from the old one."""
    drawn, _ = old.draw(len(matrix.X), np.random.default_rng(seed))
    X = np.vstack([matrix.X[matrix.row_weights > 0], drawn])
    k = old.n_clusters
    shared = shared_weight(old.score(X).cluster, new.score(X).cluster, sizes=(k, k))
    numbers = numbers_like(shared)
    return new if (numbers == np.arange(k)).all() else new.renumbered(numbers)


def _hierarchy(old: Mixture, components: Any) -> Hierarchy | None:
    """How the components join to fewer clusters: ellipses by what they are now, unions as before."""
    if old.hierarchy is None or old.hierarchy.relaxed is None:
        return old.hierarchy
    return Hierarchy("kl", merge_tree(old.family.moments(components)), components)


def _reading_options(mixture: Mixture) -> dict[str, Any]:
    """Those of the design, and the column of weights where the model was fitted with one."""
    options, weight = mixture.design.reading_options(), mixture.design.preprocessing.weight
    if weight is not None:
        options["columns"] = [*options["columns"], weight]
        options["number_columns"] = [*options["number_columns"], weight]
    return options


def _check_some_row(matrix: DesignMatrix, sources: Sequence[str]) -> None:
    if not (matrix.row_weights > 0).any():
        raise InputError(
            f"{', '.join(sources)}: no row has all its cells and a weight above zero",
            hint="check the table, or fit the model with --missing mean",
        )


def _columns(mixture: Mixture) -> dict[str, list[str]]:
    return {"used": list(mixture.design.schema.names), "left_out": []}


def _drift(
    old: Mixture,
    new: Mixture,
    matrix: DesignMatrix,
    before: Scores,
    after: Scores,
    settings: FitSettings,
    decay: float,
) -> dict[str, Any]:
    """What run.json tells of the new rows and of the two mixtures.

    `expected_by_chance` is the symmetric_kl after rows of the same kind: as much as parameters have
    standard errors, in directions that their number counts.
    """
    generator = np.random.default_rng(settings.seed)
    behind, new_weight = weight_of(old), float(matrix.row_weights.sum())
    share = new_weight / (decay * behind + new_weight)
    by_chance = old.n_parameters * share**2 * (1 / new_weight + 1 / behind)
    found = drift(
        old,
        matrix.X,
        matrix.row_weights,
        matrix.log_jacobian,
        behind=min(behind, float(old.about["rows_used"])),
        alpha=float(settings.alpha),
        n_parameters=old.n_parameters,
        learn_weights=settings.weights != "uniform",
        generator=generator,
    )
    changed = float(np.average(before.cluster != after.cluster, weights=matrix.row_weights))
    rows = int((matrix.row_weights > 0).sum())
    return {
        "drifted": found.drifted,
        "p_value": found.p_value,
        "level": LEVEL,
        **distance_of(old, new, generator)._asdict(),
        "expected_by_chance": by_chance,
        "changed": changed,
        "changed_standard_error": float(np.sqrt(changed * (1 - changed) / rows)),
        "unlike": found.unlike,
        "log_density": found.density and found.density._asdict(),
        "clusters": _clusters(old, new, found),
        "columns": _moved(old, matrix, found),
    }


def _clusters(old: Mixture, new: Mixture, found: Drift) -> list[dict[str, Any]]:
    """Of each cluster its weight before and after, its share of the new rows, and the features
    whose mean moved most, in the data's own units and in standard deviations."""
    means = [_cluster_means(mixture) for mixture in (old, new)]
    moves = (means[1] - means[0]) / spreads(old)
    summaries = [old.design.column_summary(own, np.zeros_like(own)).mean for own in means]
    names = old.design.feature_names
    return [
        {
            "cluster": c,
            "weight_before": float(old.cluster_weights[c]),
            "weight": float(new.cluster_weights[c]),
            "expected": found.shares[c].expected,
            "share": found.shares[c].found,
            "z": found.shares[c].z,
            "moved": [
                {
                    "column": names[j],
                    "before": float(summaries[0][c, j]),
                    "after": float(summaries[1][c, j]),
                    "difference": float(moves[c, j]),
                }
                for j in np.argsort(-np.abs(moves[c]), kind="stable")[:MOVED]
            ],
        }
        for c in range(old.n_clusters)
    ]


def _cluster_means(mixture: Mixture) -> np.ndarray:
    """Means (k, d) of the clusters in the design matrix."""
    components, of = mixture.components, np.eye(mixture.n_clusters)[mixture.clusters]
    shares = of * components.weights[:, None]
    return shares.T @ components.means / np.maximum(shares.sum(axis=0), 1e-300)[:, None]


def _moved(old: Mixture, matrix: DesignMatrix, found: Drift) -> list[dict[str, Any]]:
    """The features in which the new rows are farthest from what their clusters were: the mean of
    the mixture and of the new rows in the data's own units, and the shift within clusters in
    standard deviations."""
    components = old.components
    overall = components.weights @ components.means / components.weights.sum()
    means = np.vstack([overall, np.average(matrix.X, axis=0, weights=matrix.row_weights)])
    told = old.design.column_summary(means, np.zeros_like(means)).mean
    order = sorted(range(len(found.shifts)), key=lambda j: -abs(found.shifts[j].z))
    return [
        {
            "column": old.design.feature_names[j],
            "before": float(told[0, j]),
            "new": float(told[1, j]),
            "shift": _shift(found.shifts[j]),
            "z": found.shifts[j].z,
        }
        for j in order[:MOVED]
    ]


def _shift(figure: Figure) -> float:
    return figure.found - figure.expected
