"""The blocks of the documents, and a terminal to run them at.

In a `console` block a line that starts with `$ ` is a command, and the lines up to the next one are
what it prints; where nothing is shown, the summary on the terminal was left out. `sh` blocks are
run for their exit code, `python` blocks too. A block under `<!-- not run: reason -->` is not run,
one under `<!-- 80 columns -->` on a terminal so wide, which has stdout too.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COLUMNS = 120
BLOCK = re.compile(
    r"(?:<!-- (?:not run: (?P<reason>.+?)|(?P<columns>\d+) columns) -->\n+)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    flags=re.DOTALL | re.MULTILINE,
)
CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Step(NamedTuple):
    """One command of a console block, what the document shows of its output, and the columns of the
    terminal that it has for all of it, None where only stderr is on one."""

    command: str
    shown: str
    columns: int | None = None


class Done(NamedTuple):
    """How a command ended, what it wrote to stdout, what was left to see of stderr."""

    code: int
    stdout: str
    screen: str

    @property
    def told(self) -> str:
        return trimmed(self.stdout + self.screen)


def blocks(text: str, kind: str) -> list[str]:
    """The blocks of a kind that are run, in order."""
    return [
        found["text"]
        for found in BLOCK.finditer(text)
        if found["kind"] == kind and not found["reason"]
    ]


def not_run(text: str) -> list[str]:
    """The reason of each block that is not run."""
    return [found["reason"] for found in BLOCK.finditer(text) if found["reason"]]


def steps(block: str, columns: int | None = None) -> list[Step]:
    """The commands of a console block."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert not parts[0].strip(), f"output without a command: {parts[0]!r}"
    return [Step(*part.partition("\n")[::2], columns) for part in parts[1:]]


def sessions(text: str) -> list[list[Step]]:
    """The console blocks that are run, in order."""
    return [
        steps(found["text"], found["columns"] and int(found["columns"]))
        for found in BLOCK.finditer(text)
        if found["kind"] == "console" and not found["reason"]
    ]


def prepare(folder: Path) -> None:
    """A folder as the reader has it: the sample data, and `divmix` on the PATH."""
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")
    program = folder / "bin" / "divmix"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m divmix "$@"\n')
    program.chmod(0o755)


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return kept | {"PATH": path, "PYTHONPATH": str(ROOT), "TERM": "xterm"}


def run(arguments: list[str], folder: Path, columns: int | None = None) -> Done:
    """Run with stderr on a terminal of COLUMNS columns and stdout in a pipe, or both on one of
    `columns`."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (50, columns or COLUMNS))
    written: list[bytes] = []

    def listen() -> None:
        while True:
            try:
                chunk = os.read(controller, 65536)
            except OSError:  # so a terminal ends on Linux
                return
            if not chunk:
                return
            written.append(chunk)

    listener = threading.Thread(target=listen)
    with subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=terminal if columns else subprocess.PIPE,
        stderr=terminal,
        text=True,
    ) as process:
        os.close(terminal)
        listener.start()
        try:
            stdout, _ = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        listener.join()
    os.close(controller)
    shown = screen(b"".join(written).decode())
    if columns:
        shown = folded(shown, columns)
    return Done(process.returncode, stdout or "", shown)


def screen(written: str) -> str:
    """What is left to see of the text written to a terminal: no colours, no bar that was cleared."""
    lines, row, column = [""], 0, 0
    for number, action, movement, text in CONTROL.findall(written):
        if text:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + text + line[column + len(text) :]
            column += len(text)
        elif movement == "\r":
            column = 0
        elif movement == "\n":
            row += 1
            lines += [""] * (row - len(lines) + 1)
        elif action == "A":
            row = max(0, row - int(number or 1))
        elif action == "K":
            lines[row] = "" if number == "2" else lines[row][:column]
    return "\n".join(lines)


def folded(text: str, columns: int) -> str:
    """The lines as a terminal has them, which goes on below where one is too long."""
    rows = (
        line[start : start + columns]
        for line in text.split("\n")
        for start in range(0, max(len(line.rstrip()), 1), columns)
    )
    return "\n".join(rows)


def trimmed(text: str) -> str:
    """Without blank lines at both ends and blanks at the ends of lines; a newline at the end."""
    lines = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
    return f"{lines}\n" if lines else ""


def console(step: Step, folder: Path) -> Done:
    return run(["bash", "-c", step.command], folder, step.columns)
