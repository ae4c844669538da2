"""Every kind of error has its exit code, and shows as two lines."""

import errno

import click
import pytest

from divmix import errors
from divmix.cli import exits
from divmix.cli.signals import Interrupted
from tests.cli.helpers import assert_two_lines

SHOWN = [
    (errors.UsageError("a", hint="b"), 2),
    (errors.OutputError("a", hint="b"), 2),
    (errors.MissingExtraError("a", hint="b"), 2),
    (errors.InputError("a", hint="b"), 3),
    (errors.ModelFileError("a", hint="b"), 4),
    (errors.FitError("a", hint="b"), 5),
    (errors.NotConvergedError("a", hint="b"), 6),
    (errors.InputError("two\nlines", hint="b"), 3),
    (click.UsageError("a"), 2),
    (click.BadParameter("a\nb"), 2),
    (MemoryError(), 3),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), 3),
    (ImportError("libx.so: failed to map segment from shared object"), 3),
    (RuntimeError("can't start new thread"), 3),
    (OSError(errno.ENOSPC, "No space left on device"), 2),
    (PermissionError(errno.EACCES, "Permission denied", "folder/file"), 2),
    (ValueError("a\nb"), 1),
    (AssertionError(), 1),
]
SILENT = [
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141),
    (OSError(errno.EPIPE, "Broken pipe"), 141),
    (KeyboardInterrupt(), 130),
    (Interrupted(2), 130),
    (Interrupted(15), 143),
    (click.exceptions.Exit(0), 0),
]


@pytest.mark.parametrize("error, code", SHOWN, ids=lambda value: type(value).__name__)
def test_an_error_is_two_lines_and_its_exit_code(capsys, error, code):
    assert exits.report(error) == code
    captured = capsys.readouterr()
    assert_two_lines(captured.err)
    assert captured.out == ""


@pytest.mark.parametrize("error, code", SILENT, ids=lambda value: type(value).__name__)
def test_leaving_on_request_is_silent(capsys, error, code):
    assert exits.report(error) == code
    assert capsys.readouterr().err == ""


def test_debug_adds_the_traceback(capsys):
    try:
        raise ValueError("deep down")
    except ValueError as error:
        assert exits.report(error, debug=True) == 1
    assert "test_exits.py" in capsys.readouterr().err
