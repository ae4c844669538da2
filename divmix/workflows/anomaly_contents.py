"""What the page of a detection tells of its rows: a sample of them, and those that are flagged."""

from collections.abc import Sequence

import numpy as np

from divmix.progress import Progress
from divmix.report.contents import Contents
from divmix.workflows.run_rows import Scored, open_rows, rows_at

MOST_DRAWN, MOST_FLAGGED = 20_000, 2_000


def with_rows(
    contents: Contents, sources: Sequence[str], scored: Scored, progress: Progress
) -> Contents:
    """The contents with rows to draw, evenly taken, and all flagged ones, the highest where there
    are many."""
    there = np.flatnonzero(~np.isnan(scored.score))
    drawn = there[np.linspace(0, len(there) - 1, min(len(there), MOST_DRAWN)).astype(int)]
    flagged = np.flatnonzero(scored.flagged)
    highest = flagged[np.argsort(-scored.score[flagged], kind="stable")[:MOST_FLAGGED]]
    wanted = np.union1d(drawn, highest)
    mixture = contents.mixture
    reader = open_rows(mixture, sources, contents.document["settings"].get("encoding"))
    X, _, _ = rows_at(mixture, reader, wanted, None, len(scored.score), progress)
    return contents._replace(X=X, clusters=mixture.score(X).cluster, flagged=scored.flagged[wanted])
