"""The pictures of a run: in characters, or as a file."""

from collections.abc import Sequence
from pathlib import Path

from divmix.errors import InputError, OutputError
from divmix.progress import Progress
from divmix.report import terminal
from divmix.tables.writing import check_output
from divmix.workflows.report import contents_of

KINDS = (".png", ".svg", ".pdf")


def draw_run(
    run: str | Path,
    output: str | Path,
    *,
    trace: bool = False,
    sources: Sequence[str] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Draw the clusters of a run, or the climb of J, to a .png, .svg or .pdf.

    It is the picture of `divmix fit --figures`. sources: the table, where it has moved. Raises
    ModelFileError, InputError, OutputError, MissingExtraError.
    """
    from divmix.report import figures

    path = Path(output)
    if path.suffix not in KINDS:
        raise OutputError(
            f"{path}: unknown kind of picture", hint="end the name in .png, .svg or .pdf"
        )
    figures.check_available("divmix plot -o")
    check_output(path, overwrite=overwrite)
    contents = contents_of(run, sources, progress or Progress())
    if trace:
        if not contents.trace:
            raise InputError(f"{run} has no trace", hint="give a run folder that divmix fit wrote")
        figures.trace_figure(contents.trace, path, overwrite=overwrite)
        return
    if contents.X is None or contents.clusters is None:
        raise InputError(str(contents.lacking), hint="give the table of the run: --data FILE")
    figures.clusters_figure(
        contents.mixture, contents.X, contents.clusters, path, overwrite=overwrite
    )


def plot_run(
    run: str | Path,
    width: int,
    height: int,
    paint: terminal.Paint,
    *,
    sources: Sequence[str] = (),
    progress: Progress | None = None,
) -> str:
    """The clusters of a run and the climb of J in characters, `width` by `height` each.

    paint(text, rgb) colours a text. Raises ModelFileError, InputError.
    """
    contents = contents_of(run, sources, progress or Progress())
    parts = [terminal.clusters(contents, width, height, paint)]
    if contents.lacking:
        parts.append(contents.lacking)
    if contents.trace:
        parts.append("\n" + terminal.objective(contents.trace, width, height // 2, paint))
    return "\n".join(parts)
