"""Commands whose n-th operation on files fails, or is a SIGKILL.

One process, `python -m tests.faults.harness FOLDER`, loads the program once; each line on its
standard input is a try, made by a forked child: a JSON list of the arguments of a command, n, the
error number (0 for a SIGKILL), and after how many seconds the child is killed, if at all. It answers
with the exit code and how many operations there were. Operations on files elsewhere, such as imports,
are not counted.
"""

import builtins
import contextlib
import errno
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
CALLS = (
    "open", "mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "chmod", "fchmod", "link",
    "listdir", "scandir",
)  # fmt: skip
WARM = (
    ["fit", "table.csv", "-k", "2", "--method", "em", "--max-iter", "3"],
    ["detect", "table.csv", "-o", "-", "--components", "1", "--contamination", "0.1"],
    ["select", "table.csv", "-k", "1:2"],
)


class Faults:
    """Counts operations below a folder; the n-th one fails."""

    def __init__(self, folder, n, fault, told):
        self.folder, self.n, self.fault, self.told, self.count = folder, n, fault, told, 0

    def meet(self, path):
        is_name = isinstance(path, str | bytes | os.PathLike)
        if is_name and not os.path.abspath(os.fsdecode(path)).startswith(self.folder):
            return
        self.count += 1
        os.pwrite(self.told, f"{self.count:9}".encode(), 0)
        if self.count == self.n:
            if self.fault == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(self.fault, os.strerror(self.fault), str(path))

    def wrap(self, function):
        def call(*args, **kwargs):
            self.meet(args[0] if args else ".")
            return function(*args, **kwargs)

        return call

    def install(self):
        from divmix.tables import folders

        for name in CALLS:
            setattr(os, name, self.wrap(getattr(os, name)))
        folders.exchange = self.wrap(folders.exchange)
        io.open = builtins.open = self.opened

    def opened(self, file, mode="r", buffering=-1, *args, _open=io.open, **kwargs):
        if isinstance(file, int) or not os.path.abspath(os.fsdecode(file)).startswith(self.folder):
            return _open(file, mode, buffering, *args, **kwargs)
        self.meet(file)
        faults = self

        class Raw(io.FileIO):
            def write(self, data):
                faults.meet(file)
                return super().write(data)

            def readinto(self, data):
                faults.meet(file)
                return super().readinto(data)

            def readall(self):
                faults.meet(file)
                return super().readall()

        raw = Raw(file, mode.replace("b", "").replace("t", ""))
        binary = io.BufferedReader(raw) if "r" in mode else io.BufferedWriter(raw)
        return binary if "b" in mode else io.TextIOWrapper(binary, *args, **kwargs)


def attempt(folder, arguments, n, fault, seconds):
    """Exit code, operations and stderr of a command in a child of this process."""
    from divmix.cli.main import cli

    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(err.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            Faults(folder, n, fault, told.fileno()).install()
            try:
                cli(arguments)
            except SystemExit as left:
                sys.stderr.flush()
                os._exit(left.code or 0)
        if seconds is not None:
            time.sleep(seconds)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        operations = int(os.pread(told.fileno(), 9, 0) or 0)
        err.seek(0)
        text = err.read().decode(errors="replace")
    return [os.waitstatus_to_exitcode(status), operations, text]


def warm_up():
    """Load modules and kernels, which children then have: on one thread, since none is inherited."""
    from divmix.cli.main import cli
    from tests.cli.helpers import write_csv

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_csv(Path("table.csv"), rows=30)
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
            for arguments in WARM:
                with contextlib.suppress(SystemExit):
                    cli([*arguments, "--threads", "1"])


def serve(folder):
    warm_up()
    os.chdir(folder)
    for line in sys.stdin:
        print(json.dumps(attempt(folder, *json.loads(line))), flush=True)


class Server:
    """The process that makes the tries."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.harness", str(folder)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments, n=0, fault=errno.EIO, seconds=None):
        """Exit code (negative for a signal), operations and stderr."""
        asked = json.dumps([list(map(str, arguments)), n, fault, seconds])
        print(asked, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


if __name__ == "__main__":
    serve(os.path.realpath(sys.argv[1]))
