"""The checkpoint of an unfinished run, in its folder: when it is written, how it goes on."""

import math
from pathlib import Path
from typing import NamedTuple

from divmix.checkpoints.checkpoint_file import (
    Checkpoint,
    Owner,
    read_checkpoint,
    write_checkpoint,
)
from divmix.engine.checkpoint import Journal, Standing
from divmix.errors import OutputError
from divmix.progress import Progress, counted
from divmix.tables.folders import ClaimedFolder
from divmix.workflows.run_folder import CHECKPOINT


class Checkpoints(NamedTuple):
    """How a run is kept: a checkpoint every so many seconds (infinite: never one, not even when a
    signal comes), and whether it goes on from the one that an interrupted run has left."""

    every: float = 60.0
    resume: bool = False


EVERY_MINUTE = Checkpoints()


class Unfinished(NamedTuple):
    """What an interrupted run leaves: its checkpoint, or None, and what that keeps, in words."""

    checkpoint: Path | None
    kept: str


class Keeper:
    """Reads and writes the checkpoint of one run. Raises CheckpointError for that of another."""

    def __init__(
        self, place: ClaimedFolder, owner: Owner, how: Checkpoints, progress: Progress
    ) -> None:
        self._place, self._owner, self._how, self._progress = place, owner, how, progress
        self.path = place.path(CHECKPOINT)
        self._failed = False
        done = self._former()
        self.seconds_before = done.elapsed  # what the interrupted run took
        self.journal = Journal(done.entries, done.elapsed, self._try_to_write, how.every)

    def leave(self) -> Unfinished:
        """Write the last checkpoint of an interrupted run. Raises OutputError."""
        entries, elapsed = self.journal.entries, self.journal.elapsed
        if math.isinf(self._how.every) or not entries:
            return Unfinished(None, "")
        self._write(entries, elapsed)
        return Unfinished(self.path, _told(entries))

    def _former(self) -> Checkpoint:
        """What an interrupted run has left to go on from, nothing where that is not asked for."""
        stands, tell = self.path.exists(), self._progress.note
        if not self._how.resume:
            if stands:
                tell(
                    f"{self.path} is of an unfinished run: --resume would go on, this one begins anew"
                )
            return Checkpoint({}, 0.0)
        if not stands:
            tell(f"no checkpoint in {self.path.parent}: the run begins anew")
            return Checkpoint({}, 0.0)
        found = read_checkpoint(self.path, self._owner)
        tell(f"going on from {self.path}: {_told(found.entries)}, {found.elapsed:.1f} s")
        return found

    def _try_to_write(self, entries: dict[str, object], elapsed: float) -> None:
        """A run that cannot be kept is still one that can end."""
        try:
            self._write(entries, elapsed)
        except OutputError as error:
            if not self._failed:
                self._progress.note(f"no checkpoint: {error}")
            self._failed = True

    def _write(self, entries: dict[str, object], elapsed: float) -> None:
        self._place.enter()
        write_checkpoint(self.path, self._owner, Checkpoint(entries, elapsed))


def _told(entries: dict[str, object]) -> str:
    """The iterations that are done; of a run that has none to go on from, its finished parts."""
    standing = [own for own in entries.values() if isinstance(own, Standing)]
    if standing:
        return counted(sum(len(own.trace) for own in standing), "iteration")
    return counted(len(entries), "finished part")
