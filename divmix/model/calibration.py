"""What the scores of new rows are compared with: the data. The rules are in anomaly/p_values."""

from typing import NamedTuple

import numpy as np

HELD_OUT, TRAINING = "held-out rows", "training rows"


class Calibration(NamedTuple):
    """Scores (c,) of known rows, ascending, in nats, and the typical surprisal of each column.

    typical (columns,): median over known rows of -log p(column | other columns), nats; of the
    columns of the table, or of the features of an embedding.
    source: HELD_OUT where one density has not seen the rows, TRAINING where each is scored by a
    density that has not seen it.
    members (m,): of which of the mixtures that are averaged each component is, counted from 0.
    """

    scores: np.ndarray
    typical: np.ndarray
    source: str
    members: np.ndarray

    def check(self, columns: int, components: int) -> None:
        """Raises ValueError where the parts, read from a file, do not fit together."""
        fits = (
            self.scores.ndim == 1
            and len(self.scores) >= 1
            and np.isfinite(self.scores).all()
            and (np.diff(self.scores) >= 0).all()
            and self.typical.shape == (columns,)
            and np.isfinite(self.typical).all()
            and self.source in (HELD_OUT, TRAINING)
            and self.members.shape == (components,)
            and self.members[0] == 0
            and np.isin(np.diff(self.members), (0, 1)).all()
        )
        if not fits:
            raise ValueError("its calibration is damaged")
