"""What the scores of new rows are compared with: the data. The rules are in anomaly/p_values."""

from typing import NamedTuple

import numpy as np

USUAL = (0.005, 0.5, 0.995)  # what is usual of a column, and its middle
HELD_OUT, TRAINING = "held-out rows", "training rows"


class Calibration(NamedTuple):
    """Scores (c,) of known rows, ascending, in nats, and the typical surprisal of each column.

    typical (columns,): median over known rows of -log p(column | other columns), nats; of the
    columns of the table, or of the features of an embedding.
    source: HELD_OUT where one density has not seen the rows, TRAINING where each is scored by a
    density that has not seen it.
    members (m,): of which of the mixtures that are pooled each component is, counted from 0.
    centres (members,): surprisals of typical rows by each of these, nats; None where the plain mean
    pools.
    opinions (k, 2): the typical value and the scale of what the members of each opinion say together,
    nats; opinion_of (members,): which one each is a part of. None where the plain mean pools.
    margins (numbers, knots): how far out values of the columns are, see `anomaly.margins`; the last two
    opinions are then what these say, and the one that all agree on. None in older files.
    usual (3, inputs): of an embedding, quantiles USUAL of each feature of the table's columns among
    known rows; else None.
    """

    scores: np.ndarray
    typical: np.ndarray
    source: str
    members: np.ndarray
    centres: np.ndarray | None = None
    opinions: np.ndarray | None = None
    opinion_of: np.ndarray | None = None
    margins: np.ndarray | None = None
    usual: np.ndarray | None = None
