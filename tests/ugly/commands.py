"""A command run in this process, and what may come of it."""

import contextlib
import csv
import io
import json
import math
import sys
import warnings

from divmix.cli.main import cli

DOCUMENTED = {0, 2, 3, 4, 5, 6}


def run(*arguments):
    """Exit code, stdout and stderr of a command line."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.showwarning = lambda message, *_: print(message, file=sys.stderr)
            try:
                cli([str(argument) for argument in arguments])
            except SystemExit as left:
                code = left.code
        out.flush()
    return code, out.buffer.getvalue().decode("utf-8", "surrogateescape"), err.getvalue()


def complaint(code, out, err, codes=DOCUMENTED):
    """What is wrong with the end of a command, None where nothing is."""
    if code not in codes:
        return f"exit {code}: {err[:300]}"
    if code and err.startswith("{"):
        told = json.loads(err)["error"]
        complete = err.count("\n") == 1 and sorted(told) == ["code", "hint", "message"]
        return None if complete and told["code"] == code else f"no error object: {err[:300]!r}"
    if code:
        lines = err.splitlines()
        if len(lines) != 2 or not lines[0].startswith("Error: ") or lines[1][:6] != "Hint: ":
            return f"not two lines: {err[:300]!r}"
        return None
    return f"warned: {err[:300]!r}" if err else None


def odd_labels(text, clusters=False):
    """What is wrong with a table of labels as CSV, None where nothing is."""
    for row in csv.DictReader(io.StringIO(text)):
        shares = [float(v) for name, v in row.items() if name.startswith("probability_")]
        values = [float(row["probability"] or 0), float(row["log_density"] or 0), *shares]
        if not all(map(math.isfinite, values)):
            return f"not finite: {row}"
        if shares and clusters and abs(sum(shares) - 1) > 1e-9:
            return f"shares sum to {sum(shares)}: {row}"
    return None
