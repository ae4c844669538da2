"""`select`: the table over the number of clusters."""

import json
from dataclasses import replace
from itertools import count

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pytest
from click.testing import CliRunner

from divmix.cli.main import cli
from divmix.errors import UsageError
from divmix.settings import DiversifiedSettings, TableSettings
from divmix.workflows.fit import fit_table
from divmix.workflows.select import run_select, select_table
from divmix.workflows.unfinished import Checkpoints

AUTO = DiversifiedSettings(clusters="auto", threads=1)


@pytest.fixture(scope="module")
def table():
    generator = np.random.default_rng(0)
    centers = np.array([(0, 0), (9, 0), (0, 9), (9, 9)]) * [1.0, 100.0]
    X = np.vstack([c + generator.standard_normal((70, 2)) * [1.0, 100.0] for c in centers])
    return pa.table({"a": X[:, 0], "b": X[:, 1], "known": np.repeat([1, 2, 3, 4], 70)})


@pytest.fixture(scope="module")
def compared(table):
    return select_table(table, 2, 7, AUTO, TableSettings(truth="known"))


def column(document, name):
    return [row[name] for row in document["rows"]]


def test_one_line_for_each_number_and_one_choice(compared):
    assert column(compared, "clusters") == [2, 3, 4, 5, 6, 7]
    assert column(compared, "chosen") == [False, False, True, False, False, False]
    assert compared["clusters"] == 4
    assert compared["reason"].startswith("4 clusters have the lowest ICL on 280 rows")


def test_the_choice_is_the_lowest_icl_and_bic_and_the_most_stable(compared):
    assert np.argmin(column(compared, "bic")) == 2
    assert np.argmin(column(compared, "icl")) == 2
    assert np.argmax(column(compared, "stability")) == 2
    assert compared["rows"][2]["stability"] == pytest.approx(1, abs=0.02)


def test_held_out_log_likelihood_is_in_the_units_of_the_data(compared):
    entropy = np.log(4) + np.log(2 * np.pi * np.e) + np.log(100)  # of the four Gaussians
    assert compared["rows"][2]["held_out"] == pytest.approx(-entropy, abs=0.25)
    assert compared["rows"][2]["log_likelihood"] == pytest.approx(-entropy, abs=0.25)


def test_fit_with_k_auto_agrees_and_says_why(table):
    fit = fit_table(table, AUTO, TableSettings(truth="known"))
    assert fit.mixture.n_clusters == 4
    assert any("4 clusters have the lowest ICL" in note for note in fit.notes)
    assert fit.trace[0].iteration == 0 and all(row.phase != "select" for row in fit.trace)


def test_select_and_fit_with_k_auto_make_the_same_choice_beside_scattered_rows():
    generator = np.random.default_rng(3)
    X = np.vstack([place + generator.normal(size=(40, 2)) for place in ((0, 0), (9, 0), (0, 9))])
    X = np.vstack([X, generator.uniform(-5, 15, (20, 2))])
    table = pa.table(dict(zip("ab", X.T)))
    settings = replace(AUTO, covariance="full")
    document, fit = select_table(table, 2, 4, settings), fit_table(table, settings)
    assert document["clusters"] == fit.mixture.n_clusters == 3
    reason = next(note for note in fit.notes if "ICL" in note)
    assert "scattered rows" in reason
    assert document["reason"].split(";")[0].split(" beside ")[1] in reason


def test_other_criteria_are_told_with_the_choice(table, compared):
    agree = "BIC, held-out log-likelihood, stability agree"
    assert compared["reason"].endswith(agree)
    few = select_table(table, 2, 3, replace(AUTO, covariance="diag"), TableSettings(truth="known"))
    assert few["clusters"] == 3
    assert few["reason"].endswith("without a range -k auto takes 4")


def test_resamples_find_the_clusters_that_there_are(table):
    settings = replace(AUTO, covariance="diag", bootstrap=10)
    document = select_table(table, 3, 5, settings, TableSettings(truth="known"))
    assert document["bootstrap"]["resamples"] == 10
    assert [one["found"] for one in document["bootstrap"]["clusters"]] == [1.0] * 4
    least = column(document, "least_found")
    assert least[1] == 1.0 and least[2] < 0.7
    assert np.argmax(column(document, "jaccard")) == 1


def test_fit_with_k_auto_is_fit_with_that_k(table):
    settled = fit_table(
        table, DiversifiedSettings(clusters=4, threads=1), TableSettings(truth="known")
    )
    auto = fit_table(table, AUTO, TableSettings(truth="known"))
    assert np.array_equal(auto.scores.cluster, settled.scores.cluster)
    assert auto.log_likelihood == settled.log_likelihood


def test_fit_with_alpha_auto_says_what_it_took(table):
    fit = fit_table(
        table,
        DiversifiedSettings(clusters=4, alpha="auto", threads=1),
        TableSettings(truth="known"),
    )
    assert any("best held-out log-likelihood" in note for note in fit.notes)


@pytest.mark.parametrize(
    "lowest, highest, problem",
    [
        (5, 3, "not a range"),
        (0, 3, "not a range"),
        (2, 200, "70 clusters at most"),
    ],
)
def test_a_range_that_cannot_be_is_refused(table, lowest, highest, problem):
    with pytest.raises(UsageError, match=problem):
        select_table(table, lowest, highest, AUTO)


def test_the_command_writes_csv_and_json(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    csv.write_csv(table, "t.csv")
    given = [
        "select",
        "t.csv",
        "-k",
        "3:5",
        "--exclude",
        "known",
        "--covariance",
        "diag",
        "--threads",
        "1",
    ]

    def run(*more):
        return CliRunner().invoke(cli, [*given, *more])

    plain = run()
    assert plain.exit_code == 0, plain.output
    assert plain.stdout.splitlines()[0].startswith("clusters,log_likelihood,held_out,bic,icl")
    assert len(plain.stdout.splitlines()) == 4
    assert json.loads(run("--json").stdout)["clusters"] == 4
    assert run("-o", "k.parquet").exit_code == 0
    assert (tmp_path / "k.parquet").exists()
    assert run("-o", "k.parquet").exit_code == 2  # not without --force


def test_the_command_refuses_what_is_no_range():
    done = CliRunner().invoke(cli, ["select", "t.csv", "-k", "two"])
    assert done.exit_code == 2
    assert "two is not a range such as 2:20" in done.output


class TestInterrupted:
    """A comparison that a signal stops, its checkpoint in the folder of --run."""

    SETTINGS = replace(AUTO, covariance="diag", bootstrap=10)

    def compare(self, folder, stop_at=10**9, resume=False):
        """The numbers of a comparison that is stopped when it asks for the stop_at-th time, or what
        is left of it; and how often it asked."""
        asked = count()
        document = run_select(
            ["t.csv"], 3, 4, self.SETTINGS, TableSettings(exclude=("known",)), run=folder,
            should_stop=lambda: next(asked) >= stop_at, checkpoints=Checkpoints(resume=resume),
        )  # fmt: skip
        return document, next(asked)

    @pytest.fixture
    def whole(self, table, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        csv.write_csv(table, "t.csv")
        return self.compare(tmp_path / "whole")

    def test_it_goes_on_to_the_same_numbers(self, whole, tmp_path):
        document, asks = whole
        criteria = (tmp_path / "whole" / "criteria.csv").read_bytes()
        for share in (0.5, 0.9):
            folder = tmp_path / str(share)
            left, _ = self.compare(folder, stop_at=int(share * asks))
            assert left.checkpoint == folder / "checkpoint.divmix" and "finished" in left.kept
            again, _ = self.compare(folder, resume=True)
            assert again == document
            assert (folder / "criteria.csv").read_bytes() == criteria
            assert not left.checkpoint.exists()

    def test_splits_and_resamples_that_are_done_are_not_done_again(self, whole, tmp_path):
        _, asks = whole
        self.compare(tmp_path / "run", stop_at=asks - 20)
        _, again = self.compare(tmp_path / "run", resume=True)
        from_the_start, _ = self.compare(tmp_path / "path", stop_at=asks // 10)
        assert from_the_start.checkpoint is None  # the path alone is nothing to go on from
        assert again < 0.5 * asks

    def test_a_checkpoint_needs_a_folder(self):
        with pytest.raises(UsageError, match="--resume without --run"):
            run_select(["t.csv"], 3, 4, AUTO, TableSettings(), checkpoints=Checkpoints(resume=True))
