"""What the tests of the command line share."""

from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
FIT = ["fit", "-k", "2", "--method", "em", "--max-iter", "20"]


def write_csv(path, rows=60, seed=0):
    """Two far groups in three columns, one of them text."""
    generator = np.random.default_rng(seed)
    lines = ["x,y,kind"]
    for i in range(rows):
        x, y = generator.normal(10.0 * (i % 2), 1.0, 2)
        lines.append(f"{x:.4f},{y:.4f},{'odd' if i % 2 else 'even'}")
    path.write_text("\n".join(lines) + "\n")
    return path


def assert_two_lines(stderr):
    """An error as the user must see it."""
    lines = stderr.splitlines()
    assert len(lines) == 2, stderr
    assert lines[0].startswith("Error: ") and len(lines[0]) > len("Error: ")
    assert lines[1].startswith("Hint: ") and len(lines[1]) > len("Hint: ")
