"""The file of an unfinished fit: what is done, and of which run it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import divmix
from divmix.checkpoints.codec import Packed, pack, unpack
from divmix.errors import CheckpointError, OutputError
from divmix.tables.archive import BROKEN, TooLongError, read_archive, write_archive

FORMAT = 1
DOCUMENT = "checkpoint.json"
# Settings that change nothing in what is computed, so another value may go on.
FREE = ("threads", "time_budget", "require_convergence")
MOST_TOLD = 3  # differences that an error names


class Owner(NamedTuple):
    """The run that a checkpoint is of: the version, the SHA-256 of the data, and all settings."""

    version: str
    sha256: str
    settings: dict[str, Any]


class Checkpoint(NamedTuple):
    """Entries of a journal by name, and the seconds that they took."""

    entries: dict[str, Any]
    elapsed: float


def owner(source: Mapping[str, Any], settings: Mapping[str, Any]) -> Owner:
    """That of a run on the input `source`, as a reader describes it."""
    kept = {name: value for name, value in settings.items() if name not in FREE}
    return Owner(divmix.__version__, source["sha256"], kept)


def write_checkpoint(path: Path, of: Owner, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in the place of the one before, whole or not at all. Raises OutputError."""
    packed = pack(checkpoint.entries)
    document = {
        "format": FORMAT,
        "divmix": of.version,
        "sha256": of.sha256,
        "settings": of.settings,
        "elapsed": checkpoint.elapsed,
        "entries": packed.value,
    }
    try:
        write_archive(path, DOCUMENT, document, packed.arrays, overwrite=True)
    except TooLongError as error:
        raise OutputError(
            f"{path}: the checkpoint has {error} of text", hint="use fewer --restarts"
        ) from error


def read_checkpoint(path: Path, of: Owner) -> Checkpoint:
    """The checkpoint of a run. Raises CheckpointError where it is damaged or of another run."""

    def check(document: dict[str, Any]) -> None:
        if document["format"] != FORMAT or document["divmix"] != of.version:
            raise _differs(
                path, [f"it was written by divmix {document['divmix']}, this is {of.version}"]
            )

    try:
        with open(path, "rb") as file:
            document, arrays = read_archive(file, DOCUMENT, check)
        entries = unpack(Packed(document["entries"], arrays))
        elapsed, settings = document["elapsed"], dict(document["settings"])
        if not isinstance(entries, dict) or not isinstance(elapsed, float) or not elapsed >= 0:
            raise ValueError("it has no entries")
        differences = _differences(of, document["sha256"], settings)
    except OSError as error:
        raise CheckpointError(
            f"{path}: {error.strerror or 'cannot be read'}",
            hint="leave --resume out to begin anew",
        ) from error
    except BROKEN as error:
        raise CheckpointError(
            f"{path} is no checkpoint, or it is damaged",
            hint="leave --resume out to begin anew, which replaces it",
        ) from error
    if differences:
        raise _differs(path, differences)
    return Checkpoint(entries, elapsed)


def _differences(of: Owner, sha256: Any, settings: dict[str, Any]) -> list[str]:
    """What the run has otherwise than the checkpoint, in words."""
    told = [] if sha256 == of.sha256 else ["the data are others"]
    for name in dict.fromkeys([*of.settings, *settings]):
        there, here = settings.get(name), of.settings.get(name)
        if there != here:
            told.append(f"{name.replace('_', '-')} was {_text(there)} and is {_text(here)}")
    return told


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "not given" if value is None else str(value)


def _differs(path: Path, differences: list[str]) -> CheckpointError:
    more = len(differences) - MOST_TOLD
    told = "; ".join(differences[:MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")
    return CheckpointError(
        f"{path} is of another run: {told}",
        hint="go on with the command and the data of that run, or leave --resume out to begin anew",
    )
