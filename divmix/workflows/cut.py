"""Another number of clusters from the merge tree of a model, without a fit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from divmix.errors import DivmixError
from divmix.model.mixture import Mixture
from divmix.progress import Progress
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
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the model at k clusters into the folder `output`, and its components as a table.

    With `sources` also the assignments of their rows. Returns the number of clusters, components
    and rows. Raises ModelFileError, UsageError (no merge tree, or k beyond it), InputError,
    OutputError; then no model is written.
    """
    mixture = Mixture.load(model).cut(k)
    run_folder.check(output, overwrite)
    made = not output.exists()
    output.mkdir(parents=True, exist_ok=True)
    rows, labels = 0, None
    if sources:
        labels = f"assignments.{assignments_format}"
        try:
            rows = write_labels(
                mixture,
                sources,
                output / labels,
                overwrite=overwrite,
                unknown=unknown,
                progress=progress,
            )
        except DivmixError:
            if made:
                output.rmdir()
            raise
    run_folder.clear(output, keep=labels)
    table = run_folder.component_table(mixture)
    run_folder.write_table(output / "components.csv", [table], overwrite)
    mixture.save(output / "model.divmix", overwrite=overwrite)
    return {
        "output": str(output),
        "n_clusters": mixture.n_clusters,
        "n_components": mixture.components.count,
        "merge": mixture.hierarchy and mixture.hierarchy.criterion,
        "rows": rows,
        "cluster_weights": mixture.cluster_weights.tolist(),
    }
