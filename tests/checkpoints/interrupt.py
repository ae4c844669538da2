"""Fits that real signals interrupt at random moments, each a forked child of a process that has the
program loaded: `python -m tests.checkpoints.interrupt FOLDER COUNT SEED` in a folder of its own.

Each fit is interrupted three times in a row, resumed each time, and ended. It prints a line for
each: the signals, whether model, assignments and trace have the bits of an uninterrupted fit, and
whether a checkpoint was gone on from.
"""

import contextlib
import csv
import io
import json
import os
import random
import shutil
import signal
import sys
import time
import zipfile
from pathlib import Path

FITS = {
    "em": ["--method", "em", "-k", "3", "--covariance", "full", "--tol", "0", "--max-iter", "3000"],
    "nsvgd": ["--method", "nsvgd", "-k", "5", "--covariance", "diag", "--tol", "0",
              "--max-iter", "3000"],
    "diversified": ["-k", "3", "--covariance", "full", "--tol", "0", "--max-iter", "1500"],
    "streamed": ["-k", "3", "--covariance", "full", "--stream", "--tol", "0", "--max-iter", "300"],
    "auto": ["-k", "auto", "--covariance", "full", "--tol", "0", "--max-iter", "300"],
    "restarts": ["--method", "em", "-k", "3", "--restarts", "3", "--tol", "0", "--max-iter", "800"],
    "em in batches": ["--method", "em", "-k", "3", "--batch-size", "64", "--covariance", "diag",
                      "--tol", "0", "--max-iter", "3000"],
}  # fmt: skip
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
EACH = 3  # interruptions of a fit


def content(run):
    """All numbers of a run, its times left out."""
    with zipfile.ZipFile(run / "model.divmix") as model:
        arrays = {name: model.read(name) for name in model.namelist() if name.endswith(".npy")}
    with open(run / "trace.csv") as file:
        trace = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    return arrays, (run / "assignments.csv").read_bytes(), trace


def fit(arguments, after=None, number=0):
    """Exit code, and stderr, of a fit in a child; a signal comes after so many seconds."""
    from divmix.cli.main import cli

    err = os.open("stderr", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    child = os.fork()
    if child == 0:
        os.dup2(err, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            cli(["fit", "table.csv", *arguments, "--threads", "1", "-v"])
        except SystemExit as left:
            sys.stderr.flush()
            os._exit(left.code or 0)
    if after is not None:
        time.sleep(after)
        os.kill(child, number)  # a child that has ended is still there to be waited for
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(err)
    return code, Path("stderr").read_text()


def load(arguments):
    """Modules and kernels, which children then have: on one thread, since none is inherited."""
    from divmix.cli.main import cli

    short = [*arguments[:-1], "3"]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        cli(["fit", "table.csv", *short, "--threads", "1", "-o", "short", "--quiet"])
    shutil.rmtree("short")


def main(folder, count, seed):
    from tests.cli.helpers import write_csv

    os.chdir(folder)
    write_csv(Path("table.csv"), rows=600)
    chance, whole = random.Random(seed), {}
    for name, arguments in FITS.items():
        load(arguments)
        began = time.monotonic()
        code, told = fit([*arguments, "-o", name])
        assert code == 0, told
        whole[name] = content(Path(name)), time.monotonic() - began
    done = 0
    while done < count:
        name = list(FITS)[done // EACH % len(FITS)]
        (wanted, takes), resumed, sent = whole[name], 0, []
        again = [*FITS[name], "-o", "run", "--resume", "--checkpoint-every", "0.05s"]
        while len(sent) < EACH:
            number = chance.choice(SIGNALS)
            code, told = fit(again, chance.uniform(0.05, 0.95) * takes, number)
            resumed += "going on from" in told
            if code == 0 or Path("run/run.json").exists():  # the signal came too late
                shutil.rmtree("run")
            else:
                sent.append(number.name)
        code, told = fit(again)
        resumed += "going on from" in told
        same = code == 0 and content(Path("run")) == wanted
        left = sorted(path.name for path in Path("run").iterdir())
        line = dict(fit=name, signals=sent, same=same, resumed=resumed, left=left)
        print(json.dumps(line if same else line | {"told": told}), flush=True)
        shutil.rmtree("run", ignore_errors=True)
        done += EACH


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
