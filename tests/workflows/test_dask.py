"""The workers of a real cluster on this machine: the bits of memory, whatever becomes of a worker."""

import os
import signal

import numpy as np
import pandas as pd
import pytest

from divmix.errors import InputError, UsageError
from divmix.progress import Progress
from divmix.rows import Block, segments
from divmix.settings import DiversifiedSettings, TableSettings
from divmix.workflows import dask_table
from divmix.workflows.fit import run_fit
from divmix.workflows.unfinished import Checkpoints

pytest.importorskip("distributed")

N = 1_600_000  # two segments
SETTINGS = DiversifiedSettings(clusters=2, covariance="diag", max_iter=5)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    generator = np.random.default_rng(0)
    X = generator.normal(size=(N, 8)) + 5 * generator.integers(0, 2, (N, 1))
    path = tmp_path_factory.mktemp("dask") / "table.parquet"
    frame = pd.DataFrame(X.astype(np.float32), columns=[f"x{j}" for j in range(8)])
    frame.to_parquet(path, row_group_size=300_000)
    return path


@pytest.fixture(scope="module")
def held(table, tmp_path_factory):
    """The files of a fit in memory."""
    folder = tmp_path_factory.mktemp("held") / "run"
    run_fit([str(table)], SETTINGS, TableSettings(), folder, assignments_format="parquet")
    return folder


def files(folder):
    return [(folder / name).read_bytes() for name in ("model.divmix", "components.csv")]


@pytest.fixture
def workers(monkeypatch):
    """Calls what it is given, with the client of each cluster, before the work begins."""
    checked, calls = dask_table.check_workers, []

    def check(client, told):
        checked(client, told)
        for call in calls:
            call(client)

    monkeypatch.setattr(dask_table, "check_workers", check)
    return calls


class Killing(Progress):
    """Kills a worker of the cluster at an iteration."""

    def __init__(self, at):
        self.at, self.pids = at, []

    def begin(self, client):
        self.pids = list(client.run(os.getpid).values())

    def iteration(self, row, limit):
        if row.rows == N and self.at is not None:
            self.at -= 1
            if self.at == 0:
                os.kill(self.pids[0], signal.SIGKILL)


@pytest.mark.parametrize("count, killed", [(1, None), (3, None), (2, 2)])
def test_workers_have_the_bits_of_memory(count, killed, table, held, tmp_path, workers):
    progress = Killing(killed)
    workers.append(progress.begin)
    assert 1.5 * segments.segment_rows(8) < N
    run_fit(
        [str(table)], SETTINGS, TableSettings(), tmp_path / "run", dask=f"local:{count}",
        assignments_format="parquet", progress=progress,
    )  # fmt: skip
    assert len(progress.pids) == count
    assert files(tmp_path / "run") == files(held)
    one, other = (pd.read_parquet(run / "assignments.parquet") for run in (tmp_path / "run", held))
    pd.testing.assert_frame_equal(one, other)


class KillingAt(Progress):
    """Kills a worker where a stage begins."""

    def __init__(self, at):
        self.at, self.pids = at, []

    def begin(self, client):
        self.pids = list(client.run(os.getpid).values())

    def stage(self, text):
        if self.pids and text.startswith(self.at):
            os.kill(self.pids.pop(), signal.SIGKILL)


@pytest.mark.long
@pytest.mark.parametrize(
    "stage", ["preparing columns", "looking at all rows", "fitting", "looking for", "writing"]
)
def test_a_worker_that_is_killed_in_any_phase_changes_no_bit(stage, table, held, tmp_path, workers):
    progress = KillingAt(stage)
    workers.append(progress.begin)
    run_fit(
        [str(table)], SETTINGS, TableSettings(), tmp_path / "run", dask="local:2",
        assignments_format="parquet", progress=progress,
    )  # fmt: skip
    assert len(progress.pids) == 1
    assert files(tmp_path / "run") == files(held)


def exiting(*args):
    os._exit(1)


def test_a_worker_that_exits_within_a_task_changes_no_bit(table, held, tmp_path, workers):
    """The first worker does so whenever it is to sum up; the one in its place does not."""

    def spoil(client):
        first = min(client.scheduler_info()["workers"])
        client.run(setattr, dask_table, "summed", exiting, workers=[first])

    workers.append(spoil)
    run_fit([str(table)], SETTINGS, TableSettings(), tmp_path / "run", dask="local:2")
    assert files(tmp_path / "run") == files(held)


class Iterations(Progress):
    """Counts those over all rows."""

    count = 0

    def iteration(self, row, limit):
        self.count += row.rows == N


def test_an_interrupted_fit_goes_on_on_another_cluster_to_the_same_bits(table, held, tmp_path):
    progress, run = Iterations(), tmp_path / "run"
    left = run_fit(
        [str(table)], SETTINGS, TableSettings(), run, dask="local:1", progress=progress,
        should_stop=lambda: progress.count == 3,
    )  # fmt: skip
    assert left.checkpoint is not None and left.checkpoint.exists()
    resumed = Iterations()
    run_fit(
        [str(table)], SETTINGS, TableSettings(), run, dask="local:2", progress=resumed,
        checkpoints=Checkpoints(resume=True),
    )  # fmt: skip
    assert files(run) == files(held)
    assert 0 < resumed.count < 5  # what was done is not done again


def test_principal_components_on_workers_have_the_bits_of_a_stream(table, tmp_path):
    tables = TableSettings(encoder="pca:2")
    run_fit([str(table)], SETTINGS, tables, tmp_path / "stream", stream=True)
    run_fit([str(table)], SETTINGS, tables, tmp_path / "dask", dask="local:2")
    assert files(tmp_path / "dask") == files(tmp_path / "stream")


def test_a_worker_keeps_the_segments_of_the_last_table_as_far_as_they_have_room(monkeypatch):
    block, read = Block(np.zeros((10, 2)), np.ones(10)), []

    def reading(number):
        read.append(number)
        return block

    monkeypatch.setattr(dask_table, "_most_bytes", lambda: 2 * (20 + 10) * 8)
    kept = dask_table.Kept()
    for number in (0, 1, 2, 0, 1, 2):
        kept.get("one", number, reading)
    assert read == [0, 1, 2, 2]  # the third finds no room
    kept.get("other", 0, reading), kept.get("other", 0, reading), kept.get("one", 0, reading)
    assert read[4:] == [0, 0]


def test_what_a_cluster_cannot_do_is_said_before_the_work(table, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_table, "CONNECT", 0.5)
    csv = tmp_path / "table.csv"
    csv.write_text("x,y\n1,2\n3,4\n")
    for source, address, message in (
        (csv, "local:1", "reads Parquet"),
        (table, "local:none", "no number of workers"),
        (table, "tcp://127.0.0.1:1", "no scheduler answers"),
    ):
        with pytest.raises(UsageError, match=message):
            run_fit([str(source)], SETTINGS, TableSettings(), tmp_path / "run", dask=address)
    assert not (tmp_path / "run").exists()


def test_a_file_that_another_took_the_place_of_is_not_summed_up(table, tmp_path):
    part = dask_table.TablePart(((str(table), 1, 1),), {}, None, dask_table.divmix.__version__, "k")
    with pytest.raises(InputError, match="changed while it was read"):
        part._check()
    with pytest.raises(UsageError, match="a worker has divmix"):
        dask_table.TablePart((), {}, None, "0.0.1", "k")._check()
