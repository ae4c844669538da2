"""Another number of clusters from the merge tree of a model, without a fit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import divmix
from divmix.model.mixture import Mixture
from divmix.progress import Progress
from divmix.tables.writing import write_json
from divmix.workflows import run_folder
from divmix.workflows.predict import write_labels


def run_cut(
    model: str | Path,
    k: int,
    output: Path,
    *,
    sources: Sequence[str] = (),
    overwrite: bool = False,
    assignments_format: str = "csv",
    unknown: str = "error",
    csv_safe: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the model at k clusters into the folder `output`, and its components as a table.

    With `sources` also the assignments of their rows. `csv_safe`: see `TableWriter`. Returns the number of clusters, components
    and rows. Raises ModelFileError, UsageError (no merge tree, or k beyond it), InputError,
    OutputError; then no model is written.
    """
    mixture = Mixture.load(model).cut(k)
    rows = None  # where nothing is labelled
    with run_folder.claimed(output, overwrite) as place, place.built() as folder:
        if sources:
            rows = write_labels(
                mixture,
                sources,
                folder / f"assignments.{assignments_format}",
                unknown=unknown,
                progress=progress,
            )
        table = run_folder.component_table(mixture)
        run_folder.write_table(
            folder / "components.csv", [table], overwrite=False, csv_safe=csv_safe
        )
        mixture.save(folder / "model.divmix")
        document = {
            "n_clusters": mixture.n_clusters,
            "n_components": mixture.components.count,
            "merge": mixture.hierarchy and mixture.hierarchy.criterion,
            "rows": rows,
            "cluster_weights": mixture.cluster_weights.tolist(),
        }
        about = {"divmix": divmix.__version__, "command": "cut", "model": str(model)}
        write_json(folder / "run.json", about | document)
    return {"output": str(output), **document}
