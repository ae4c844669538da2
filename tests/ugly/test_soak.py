"""Long runs stay as small as they began, and the order of rows and columns is no part of a table."""

import os
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from sklearn.metrics import adjusted_rand_score

from divmix.settings import DiversifiedSettings
from divmix.workflows.fit import fit_table
from tests.ugly import commands

MINUTES = 3  # of the long form, after one of warming up


def resident():
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def clear_table(seed):
    """Rows in three to five far ellipses, and the ellipse of each."""
    generator = np.random.default_rng(seed)
    k, d = 3 + seed % 3, 2 + seed % 4
    labels = np.repeat(np.arange(k), 40)
    centres = 12.0 * np.eye(k, d) + 12.0 * np.arange(k)[:, None]
    X = centres[labels] + generator.normal(size=(len(labels), d)) * generator.uniform(0.5, 1.5, d)
    return X, labels, k


def clusters_of(X, names, k):
    table = pa.table({name: X[:, j] for j, name in enumerate(names)})
    return fit_table(table, DiversifiedSettings(clusters=k, threads=1)).scores.cluster


def moved(seed):
    """Agreement of a table's clusters with the truth and with those of the shuffled table."""
    X, labels, k = clear_table(seed)
    names = [f"x{j}" for j in range(X.shape[1])]
    generator = np.random.default_rng(seed)
    rows, columns = generator.permutation(len(X)), generator.permutation(X.shape[1])
    plain = clusters_of(X, names, k)
    other = clusters_of(X[np.ix_(rows, columns)], [names[j] for j in columns], k)
    return adjusted_rand_score(labels, plain), adjusted_rand_score(plain[rows], other)


def test_the_order_of_rows_and_columns_does_not_matter_to_clear_clusters():
    assert moved(1) == (1.0, 1.0)


@pytest.mark.long
def test_the_order_of_rows_and_columns_on_twenty_tables():
    found = [moved(seed) for seed in range(20)]
    print(found)
    assert all(pair == (1.0, 1.0) for pair in found)


@pytest.mark.long
def test_memory_files_and_threads_stay_flat(tmp_path):
    X, _, k = clear_table(4)
    table, run = tmp_path / "table.csv", tmp_path / "run"
    pyarrow.csv.write_csv(pa.table({f"x{j}": column for j, column in enumerate(X.T)}), table)
    calls = (
        ("fit", table, "-k", k, "-o", run, "--force", "--threads", 1),
        ("predict", run, table, "--probabilities"),
        ("detect", table, "-o", "-", "--threshold", 0.9, "--components", 2, "--threads", 1),
        ("cut", run, "-k", 2, "-o", tmp_path / "cut", "--force"),
        ("sample", run, "-n", 50),
        ("update", run, table, "-o", tmp_path / "updated", "--force", "--threads", 1),
    )
    started, rounds, before = time.monotonic(), 0, None
    while time.monotonic() - started < 60 * (MINUTES + 1):
        for call in calls:
            code, _, err = commands.run(*call)
            assert code == 0, err
        rounds += 1
        if before is None and time.monotonic() - started > 60:
            before = resident(), len(os.listdir("/proc/self/fd")), threading.active_count(), rounds
    after = resident(), len(os.listdir("/proc/self/fd")), threading.active_count()
    print(f"{rounds} rounds; bytes, files, threads {before[:3]} after a minute, {after} at the end")
    assert after[1:] == before[1:3]
    assert after[0] - before[0] < 4e6
    assert sorted(os.listdir(tmp_path)) == ["cut", "run", "table.csv", "updated"]
