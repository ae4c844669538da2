"""Ctrl-C, SIGTERM, SIGHUP: the first asks a fit to stop after its step, the second leaves at once."""

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import click

ARGUMENTS = "divmix.arguments"  # where the context keeps the command line, to be typed again
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """Leave now, because of a signal. Not an Exception: nothing may swallow it.

    left: what the user has of the work, in a few words; "" where it is nothing.
    """

    def __init__(self, number: int, left: str = "") -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        self.left = left


def _raise(number: int, frame: object) -> None:
    # What the signal finds half built may complain when it is cleared away: no concern of the user.
    sys.unraisablehook = lambda _: None
    raise Interrupted(number)


@contextmanager
def _handling(handler: Callable[[int, object], None]) -> Iterator[None]:
    # A signal that was ignored from the start (nohup, a background job) stays ignored.
    former = {
        number: signal.signal(number, handler)
        for number in SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, old in former.items():
            signal.signal(number, old)


@contextmanager
def terminate_raises() -> Iterator[None]:
    """Each of them raises Interrupted, so that temporary files are removed on the way out."""
    with _handling(_raise):
        yield


class GracefulStop:
    """Within `with`, a call says whether a signal has asked the loop to stop.

    Before the loop's first question there is no step to finish: the first signal leaves at once.
    `announce` is called when a signal has come; it must not write to a file, since writing may be
    what the signal interrupted.
    """

    def __init__(self, announce: Callable[[], None]) -> None:
        self._announce = announce
        self.number: int | None = None
        self.left = ""  # what the user has of the work
        self._asked = False

    def __call__(self) -> bool:
        self._asked = True
        return self.number is not None

    def _handle(self, number: int, frame: object) -> None:
        if self.number is not None or not self._asked:
            _raise(number, frame)
        self.number = number
        self._announce()

    def __enter__(self) -> Self:
        self._context = _handling(self._handle)
        self._context.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._context.__exit__(kind, error, traceback)
        if self.number is not None and error is None:
            raise Interrupted(self.number, self.left)


def to_go_on(context: click.Context, checkpoint: Path, kept: str) -> str:
    """What an interrupted command has left, and the command line that goes on with it."""
    arguments = context.meta[ARGUMENTS]
    again = [] if "--resume" in arguments else ["--resume"]
    return f"{checkpoint} keeps {kept}; to go on: {shlex.join(['divmix', *arguments, *again])}"
