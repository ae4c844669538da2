"""Digests of the outputs of 24 runs: what a change that should not move a bit is held against.

    python tests/golden/runs.py record before.json     # on the commit before
    python tests/golden/runs.py compare before.json    # on the commit after

Bits depend on the processor and on the versions of NumPy and Numba, so both have to be run on one
machine and digests are not kept in the repository. Compared are the assignments, the components and
the trace (without its column of seconds); a run whose options the other commit refuses is told.
"""

import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
RUNS = {
    "default": "blobs.csv -k 4",
    "default, full, kl": "blobs.csv -k 4 --covariance full --merge kl",
    "default, diag": "blobs.csv -k 4 --covariance diag",
    "default, spherical": "blobs.csv -k 4 --covariance spherical",
    "default, tied": "blobs.csv -k 4 --covariance tied",
    "default, student": "blobs.csv -k 4 --family student",
    "default, student diag": "blobs.csv -k 4 --family student --covariance diag",
    "default, overlap": "moons.csv -k 2 --merge overlap",
    "default, moons": "moons.csv -k 2",
    "default, noise": "scattered.csv -k 4 --noise",
    "default, noise diag": "scattered.csv -k 4 --noise --covariance diag",
    "default, alpha 0": "blobs.csv -k 4 --alpha 0",
    "default, weights": "blobs.csv -k 3 --weight w --alpha 0.1",
    "default, uniform": "blobs.csv -k 4 --weights uniform",
    "default, restarts": "blobs.csv -k 4 --restarts 3",
    "default, -k auto": "blobs.csv -k auto",
    "default, gap": "blobs.csv -k 3 --gap",
    "default, pca": "wide.csv -k 3 --encoder pca:5",
    "default, text": "mixed.csv -k 3",
    "em, full": "blobs.csv -k 4 --method em",
    "em, student diag": "blobs.csv -k 4 --method em --family student --covariance diag",
    "em, noise, random": "scattered.csv -k 4 --method em --noise --init random",
    "nsvgd": "blobs.csv -k 4 --method nsvgd --covariance diag --max-iter 200",
    "nsvgd, batches": "blobs.csv -k 4 --method nsvgd --covariance spherical --kernel imq "
    "--bandwidth median --optimizer rmsprop --step 0.02 --batch-size 200 --max-iter 150",
}
FILES = ("assignments.csv", "components.csv", "trace.csv")


def tables(folder: Path) -> None:
    """The tables that the runs read."""
    generator = np.random.default_rng(0)
    centers = np.array([[0, 0, 0], [5, 0, 1], [0, 5, -1], [5, 5, 0]])
    label = generator.integers(4, size=900)
    blobs = centers[label] + generator.normal(size=(900, 3)) * [1.0, 0.6, 0.8]
    weights = generator.integers(1, 4, size=900)
    save(folder / "blobs.csv", ["a", "b", "c", "w"], np.column_stack([blobs, weights]))
    angle = np.pi * generator.uniform(size=700)
    side = generator.integers(2, size=700)
    moons = np.column_stack([np.cos(angle), np.sin(angle)]) * np.where(side, -1, 1)[:, None]
    moons += side[:, None] * [1.0, 0.5] + generator.normal(scale=0.06, size=(700, 2))
    save(folder / "moons.csv", ["x", "y"], moons)
    scattered = np.vstack([blobs[:, :2], generator.uniform(-8, 13, size=(150, 2))])
    save(folder / "scattered.csv", ["x", "y"], scattered)
    wide = generator.normal(size=(300, 20))
    wide[:, :2] += 6 * np.eye(3)[generator.integers(3, size=300), :2]
    save(folder / "wide.csv", [f"p{j}" for j in range(20)], wide)
    kinds = np.array(["red", "green", "blue"])[label[:400] % 3]
    with open(folder / "mixed.csv", "w") as file:
        file.write("size,kind\n")
        for value, kind in zip(blobs[:400, 0], kinds, strict=True):
            file.write(f"{value},{kind}\n")


def save(path: Path, names: list[str], X: np.ndarray) -> None:
    np.savetxt(path, X, delimiter=",", header=",".join(names), comments="")


def digests() -> dict[str, dict[str, str]]:
    """For each run the digest of each file, or the error."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables(folder)
        for place, (run, options) in enumerate(RUNS.items()):
            output = folder / f"run{place}"
            command = [sys.executable, "-m", "divmix", "fit", *options.split(), "-o", str(output)]
            if "blobs" in options and "--weight " not in options:
                command += ["--exclude", "w"]
            done = subprocess.run(
                command, cwd=folder, env={**__import__("os").environ, "PYTHONPATH": str(ROOT)},
                capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                found[run] = {"error": done.stderr.strip().splitlines()[0]}
                continue
            found[run] = {file: digest(output / file) for file in FILES}
            print(f"{run}: {found[run]['assignments.csv'][:12]}", file=sys.stderr)
    return found


def digest(path: Path) -> str:
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [{k: v for k, v in row.items() if k in COMPARED or path.name != "trace.csv"}
            for row in rows]  # fmt: skip
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


COMPARED = ("iteration", "phase", "components", "log_likelihood")


def main() -> int:
    action, path = sys.argv[1], Path(sys.argv[2])
    found = digests()
    if action == "record":
        path.write_text(json.dumps(found, indent=1))
        return 0
    known = json.loads(path.read_text())
    changed = [
        f"{run}: {', '.join(f for f in known[run] if known[run][f] != found[run].get(f))}"
        for run in RUNS
        if known[run] != found[run]
    ]
    print("\n".join(changed) or f"all {len(RUNS)} runs have the same bits")
    return bool(changed)


if __name__ == "__main__":
    sys.exit(main())
