"""The account of a stream of batches that one model judges: `online.json` in its run folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from divmix.anomaly import online
from divmix.anomaly.online import Batch
from divmix.errors import ModelFileError, UsageError
from divmix.families.family import Array
from divmix.tables.folders import locked
from divmix.tables.writing import write_json

NAME = "online.json"


class Stream:
    """The batches that came so far. Made by `claimed_stream`."""

    def __init__(self, folder: Path, rule: str, rate: float) -> None:
        self._path, self.rule, self.rate = folder / NAME, rule, rate
        self.batches = self._read()

    def flag(self, p_values: Array) -> NDArray[np.bool_]:
        """Flags (n,) of the next batch, which the account then holds."""
        flags, batch = online.flag_batch(p_values, self.rule, self.rate, self.batches)
        self.batches = [*self.batches, batch]
        return flags

    def keep(self) -> None:
        """Write the account. Raises OutputError."""
        batches = [batch._asdict() for batch in self.batches]
        document = {"rule": self.rule, "fdr": self.rate, "batches": batches}
        write_json(self._path, document, overwrite=True)

    def told(self) -> dict[str, Any]:
        """The account in short."""
        return {
            "rule": self.rule,
            "batches": len(self.batches),
            "rows": sum(batch.rows for batch in self.batches),
            "flagged": sum(batch.flagged for batch in self.batches),
            "level": float(f"{self.batches[-1].level:.3g}"),
        }

    def _read(self) -> list[Batch]:
        if not self._path.exists():
            return []
        try:
            document = json.loads(self._path.read_bytes())
            found = document["rule"], float(document["fdr"])
            batches = [
                Batch(int(one["rows"]), int(one["flagged"]), float(one["level"]), int(one["most"]))
                for one in document["batches"]
            ]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelFileError(
                f"{self._path} is damaged: {error}",
                hint="restore it from a copy, or remove it to begin the stream anew",
            ) from error
        if found != (self.rule, self.rate):
            raise UsageError(
                f"{self._path} is the account of --online {found[0]} --fdr {found[1]:g}",
                hint="keep to these, or remove the file to begin the stream anew",
            )
        return batches


@contextmanager
def claimed_stream(model: str | Path | None, rule: str, rate: float) -> Iterator[Stream]:
    """The stream of a run folder, which no other process may go on with meanwhile.

    Raises UsageError where `model` is no folder or the stream began with other settings,
    ModelFileError for a damaged account, OutputError where another process has it.
    """
    if model is None or not Path(model).is_dir():
        raise UsageError(
            "--online keeps its account in a run folder",
            hint="divmix detect TRAIN --training clean --run DIR makes one, and --model DIR names it",
        )
    folder = Path(model).resolve()
    with locked(folder, Path(model)):
        yield Stream(folder, rule, rate)
