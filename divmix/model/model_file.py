"""The file format of a model: an archive (`divmix.tables.archive`) of `model.json` and arrays."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from divmix.errors import ModelFileError, OutputError
from divmix.tables.archive import (
    BROKEN,
    ChangedError,
    TooLongError,
    read_archive,
    write_archive,
)

FORMAT = 1
DOCUMENT = "model.json"


def write_model(
    path: str | Path,
    document: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    overwrite: bool = False,
) -> None:
    """Write a model to `path`, whole or not at all.

    `document` is what JSON can hold; `arrays` are numbers or booleans of any shape, with names of
    lower-case letters, digits and underscores. The same model gives the same bytes.
    Raises OutputError if the file exists (without `overwrite`) or cannot be written.
    """
    try:
        write_archive(path, DOCUMENT, {"format": FORMAT, **document}, arrays, overwrite)
    except TooLongError as error:
        raise OutputError(
            f"{path}: the model's description of its columns has {error}",
            hint="leave out text columns of many categories with --exclude",
        ) from error


def read_model(path: str | Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The document and the arrays of a model file, or of the model in a run folder.

    Raises ModelFileError for a file that is missing, damaged, not a model or of a newer format.
    """
    path = _model_of(Path(path))
    try:
        with open(path, "rb") as file:
            return read_archive(file, DOCUMENT, lambda document: _check_format(path, document))
    except OSError as error:
        raise ModelFileError(
            f"{path}: {error.strerror or 'cannot be read'}",
            hint="give the model.divmix of a run folder, or the folder",
        ) from error
    except ChangedError as error:
        raise ModelFileError(
            f"{path}: the file was changed after it was written",
            hint="copy it again from where it was made, or fit again",
        ) from error
    except BROKEN as error:
        raise ModelFileError(
            f"{path} is not a model file, or it is damaged",
            hint="give the model.divmix that divmix fit wrote, or fit again",
        ) from error


def _model_of(path: Path) -> Path:
    """The file itself, or the one in a run folder. Raises ModelFileError for no complete run."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return path  # opening it will say why
    if stat.S_ISDIR(mode):
        if not (path / "run.json").is_file():
            raise ModelFileError(
                f"{path} is no run folder, or its run was never finished: it has no run.json",
                hint="fit again, or name the model.divmix itself",
            )
        return path / "model.divmix"
    if not stat.S_ISREG(mode):
        raise ModelFileError(
            f"{path} is no file: a model cannot be read from a device or a pipe",
            hint="give the model.divmix of a run folder, or the folder",
        )
    return path


def _check_format(path: Path, document: dict[str, Any]) -> None:
    """Takes the format number out of the document."""
    version = document.pop("format")
    if not isinstance(version, int) or version < 1:
        raise ValueError("no format number")
    if version > FORMAT:
        raise ModelFileError(
            f"{path} is of format {version}, written by a newer divmix; this one reads {FORMAT}",
            hint="pip install --upgrade divmix",
        )
