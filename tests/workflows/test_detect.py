"""Anomaly scores, p-values, flags and reasons, from a table to a table."""

import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import kstest

from divmix.anomaly.detector import fit_density
from divmix.errors import InputError, ModelFileError, OutputError, UsageError
from divmix.estimators.outliers import MixtureOutlierDetector
from divmix.model.mixture import Mixture
from divmix.settings import DetectSettings, DetectTableSettings
from divmix.workflows.detect import run_detect

COLUMNS = ["a", "b", "c"]


def normal_rows(n, seed):
    """Two groups of rows, correlated within, with a category and a constant column."""
    generator = np.random.default_rng(seed)
    group = generator.integers(0, 2, n)
    base = generator.normal(size=(n, 3)) + group[:, None] * [6.0, 0.0, 3.0]
    frame = pd.DataFrame(base, columns=COLUMNS)
    frame["kind"] = np.where(group == 1, "x", "y")
    frame["same"] = 4.0
    return frame


def write(frame, path):
    frame.to_csv(path, index=False)
    return str(path)


def detect(path, output, *, tables=None, **options):
    """The table that detect writes, and what it returns."""
    given = {
        name: options.pop(name)
        for name in ("score", "model", "run", "overwrite")
        if name in options
    }
    document = run_detect(
        [path], DetectSettings(**options), tables or DetectTableSettings(), str(output), **given
    )
    return pd.read_csv(output), document


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """train.csv of normal rows; new.csv with 20 anomalies at its end, column b 12 sd away."""
    folder = tmp_path_factory.mktemp("tables")
    write(normal_rows(2_000, 0), folder / "train.csv")
    new = normal_rows(500, 1)
    new.loc[480:, "b"] += 12.0
    write(new, folder / "new.csv")
    return folder


def test_injected_rows_are_flagged_and_the_injected_column_is_named(folder, tmp_path):
    found, document = detect(
        str(folder / "train.csv"), tmp_path / "out.csv", score=[str(folder / "new.csv")]
    )
    assert list(found) == ["row", "score", "p_value", "flagged", "because"]
    assert found.flagged[480:].all()
    assert found.flagged[:480].sum() <= 3
    assert found.because[480:].str.startswith("b ").all()
    assert found.because[~found.flagged].isna().sum() == (~found.flagged).sum()
    assert document["flagged"] == found.flagged.sum()
    assert document["calibrated_by"] == "1,000 held-out rows"


def test_anomalies_within_the_training_table_are_flagged_too(folder, tmp_path):
    found, _ = detect(str(folder / "new.csv"), tmp_path / "out.csv")
    assert found.flagged[480:].all()
    assert found.flagged[:480].sum() <= 5
    assert found.because[480:].str.startswith("b ").all()


@pytest.mark.parametrize("seed", range(3))
def test_p_values_of_normal_rows_are_uniform_and_in_the_tail_of_their_own_table_no_lower(
    tmp_path, seed
):
    train, new = (write(normal_rows(20_000, 10 * seed + i), tmp_path / f"{i}.csv") for i in (1, 2))
    found, _ = detect(train, tmp_path / "out.csv", score=[new])
    assert kstest(found.p_value, "uniform").statistic <= 0.02
    alone, _ = detect(train, tmp_path / "alone.csv")
    assert kstest(alone.p_value, "uniform", alternative="greater").statistic <= 0.02
    ranks = alone.p_value[alone.p_value > 0.1]  # beyond, the model of the tail counts twice
    assert kstest(ranks, "uniform", args=(0.1, 0.9)).statistic <= 0.02


def test_a_model_scores_new_rows_as_the_fit_did(folder, tmp_path):
    first, _ = detect(
        str(folder / "train.csv"),
        tmp_path / "first.csv",
        score=[str(folder / "new.csv")],
        run=tmp_path / "run",
    )
    second, _ = detect(str(folder / "new.csv"), tmp_path / "second.csv", model=tmp_path / "run")
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["command"] == "detect"


def test_a_row_has_the_same_score_alone_and_among_others(folder, tmp_path):
    together, _ = detect(
        str(folder / "train.csv"),
        tmp_path / "all.csv",
        score=[str(folder / "new.csv")],
        run=tmp_path / "run",
    )
    part = pd.read_csv(folder / "new.csv").iloc[470:490]
    alone, _ = detect(
        write(part, tmp_path / "part.csv"),
        tmp_path / "part_out.csv",
        model=tmp_path / "run",
        alpha_level=0.01,
    )
    np.testing.assert_array_equal(alone.score, together.score[470:490])
    np.testing.assert_array_equal(alone.p_value, together.p_value[470:490])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_bits_at_any_number_of_threads(folder, tmp_path, threads):
    found, _ = detect(str(folder / "new.csv"), tmp_path / "out.csv", threads=threads, seed=3)
    reference, _ = detect(str(folder / "new.csv"), tmp_path / "reference.csv", seed=3)
    np.testing.assert_array_equal(found.score, reference.score)


def test_tripwires_rank_above_everything_and_are_named(folder, tmp_path):
    new = normal_rows(100, 5)
    new.loc[0, "same"] = 4.001
    new.loc[1, "kind"] = "z"
    new.loc[2, "b"] = 12.0
    found, _ = detect(
        str(folder / "train.csv"),
        tmp_path / "out.csv",
        score=[write(new, tmp_path / "new.csv")],
        alpha_level=0.01,
    )
    assert found.flagged[:3].all()
    assert set(found.score.nlargest(2).index) == {0, 1}
    assert list(found.because[:2]) == ["same is not 4", "kind is new"]


def test_incomplete_rows_are_told_apart(folder, tmp_path):
    new = normal_rows(50, 6)
    new.loc[7, "a"] = np.nan
    found, document = detect(
        str(folder / "train.csv"),
        tmp_path / "out.csv",
        tables=DetectTableSettings(missing="drop"),
        score=[write(new, tmp_path / "new.csv")],
    )
    assert found.loc[7, ["score", "p_value", "because"]].isna().all()
    assert not found.flagged[7]
    assert document["incomplete"] == 1


def test_contamination_flags_that_share_and_threshold_that_quantile(folder, tmp_path):
    path = str(folder / "new.csv")
    share, _ = detect(path, tmp_path / "share.csv", contamination=0.04)
    assert share.flagged.sum() == 20 and share.flagged[480:].all()
    beyond, _ = detect(path, tmp_path / "beyond.csv", threshold=0.9)
    assert beyond.flagged.sum() == 50
    assert beyond.because[beyond.flagged].notna().all()


def test_robust_training_keeps_a_group_of_anomalies_out(tmp_path):
    """8 % of equal anomalies get a component of a rich density, and none of a robust one."""
    frame = normal_rows(1_000, 0)
    generator = np.random.default_rng(1)
    frame.loc[920:, COLUMNS] = [20.0, 20.0, 20.0] + 0.1 * generator.normal(size=(80, 3))
    path = write(frame, tmp_path / "mixed.csv")
    robust, _ = detect(path, tmp_path / "robust.csv")
    naive, _ = detect(path, tmp_path / "naive.csv", training="clean")
    assert robust.score[920:].min() > robust.score[:920].max()
    assert naive.score[920:].median() < robust.score[920:].median()


def test_what_cannot_work_is_told_before_anything_is_written(folder, tmp_path):
    train, new = str(folder / "train.csv"), str(folder / "new.csv")
    renamed = write(normal_rows(60, 0).rename(columns={"a": "other"}), tmp_path / "renamed.csv")
    output = tmp_path / "out.csv"
    for error, message, arguments in [
        (UsageError, "two rules", dict(path=train, fdr=0.1, contamination=0.1)),
        (UsageError, "--storey is about --fdr", dict(path=train, alpha_level=0.1, storey=True)),
        (UsageError, "--model scores DATA", dict(path=train, model="m", score=[new])),
        (InputError, "no column 'a'", dict(path=train, score=[renamed])),
    ]:
        with pytest.raises(error, match=message):
            detect(arguments.pop("path"), output, **arguments)
        assert not output.exists()
    output.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        detect(train, output)
    assert output.read_text() == "mine"


@pytest.mark.parametrize(
    "options, said",
    [
        ({"alpha_level": 0.01}, "15 rows that calibrate no p-value is below 0.062, 99 are needed"),
        ({"fdr": 0.01}, "15 rows that calibrate no p-value is below 0.062, 99 are needed"),
        ({"fdr": 0.1}, "it takes 313 of these 500 rows beyond all of them"),
    ],
)
def test_a_rule_that_cannot_flag_says_so_names_another_and_the_highest_have_reasons(
    folder, tmp_path, options, said
):
    few = write(normal_rows(30, 0), tmp_path / "few.csv")
    new = str(folder / "new.csv")
    found, document = detect(few, tmp_path / "out.csv", score=[new], **options)
    assert not found.flagged.any()
    assert said in document["notes"][-1] and "--contamination 0.02" in document["notes"][-1]
    assert found.because.notna().sum() == len(document["highest"]) == 10
    assert [row["row"] for row in document["highest"]] == list(found.score.nlargest(10).index)
    assert all(row["because"] == found.because[row["row"]] for row in document["highest"])


def test_where_no_row_is_flagged_the_rate_that_would_is_named(tmp_path):
    rows = np.random.default_rng(0).normal(size=(300, 3))
    rows[:3, 0] += 3.5
    path = write(pd.DataFrame(rows, columns=COLUMNS), tmp_path / "table.csv")
    found, document = detect(path, tmp_path / "none.csv")
    rate, count = re.search(r"; --fdr (\S+) flags (\d+);", document["notes"][-1]).groups()
    assert not found.flagged.any() and float(rate) <= 0.5
    found, _ = detect(path, tmp_path / "some.csv", fdr=float(rate))
    assert found.flagged.sum() == int(count) > 0


def test_only_flagged_rows_are_written_under_their_numbers(folder, tmp_path):
    output = tmp_path / "flagged.csv"
    run_detect(
        [str(folder / "new.csv")],
        DetectSettings(),
        DetectTableSettings(),
        str(output),
        only_flagged=True,
    )
    found = pd.read_csv(output)
    assert found.flagged.all() and set(range(480, 500)) <= set(found.row)


def clean_columns(kind, n, generator):
    if kind == "normal":
        return generator.normal(size=(n, 4)) @ generator.normal(size=(4, 4))
    if kind == "student":
        return generator.standard_t(3, size=(n, 4))
    if kind == "log-normal":
        return np.exp(generator.normal(size=(n, 4)))
    centres = 5 * generator.normal(size=(3, 4))
    return centres[generator.choice(3, n, p=[0.5, 0.3, 0.2])] + generator.normal(size=(n, 4))


@pytest.mark.long
@pytest.mark.parametrize("n", [300, 2_000])
@pytest.mark.parametrize("kind", ["normal", "student", "log-normal", "mixture"])
def test_clean_tables_against_themselves_have_few_small_p_values_and_no_flags(kind, n):
    from divmix.anomaly.detector import fit_density, flags_of, score_itself

    shares, flagged, rule = [], [], ("fdr", 0.05)
    for seed in range(20):
        X = clean_columns(kind, n, np.random.default_rng(seed))
        table = pa.table({f"x{j}": X[:, j].copy() for j in range(4)})
        fitted = fit_density(table, DetectSettings(), itself=True)
        scored = score_itself(fitted)
        shares.append([(scored.p_value <= level).mean() / level for level in (0.05, 0.01, 0.001)])
        flagged.append(flags_of(fitted.mixture, scored, rule).any())
    assert (np.mean(shares, axis=0) <= 1.15).all()
    assert np.mean(flagged) <= 0.06


def test_a_number_that_has_no_logarithm_is_flagged_in_the_units_of_its_column(tmp_path):
    generator = np.random.default_rng(0)
    known = pd.DataFrame({"x": generator.normal(size=400), "load": generator.lognormal(size=400)})
    new = known.iloc[:50].copy()
    new.loc[[7, 30], "load"] = [-1.0, -250.0]
    new.loc[40, "load"] = -0.2  # has one
    train, today = write(known, tmp_path / "train.csv"), write(new, tmp_path / "new.csv")
    of_train, _ = detect(train, tmp_path / "a.csv", score=[today], run=tmp_path / "run", fdr=0.2)
    of_model, _ = detect(today, tmp_path / "b.csv", model=tmp_path / "run", fdr=0.2)
    pd.testing.assert_frame_equal(of_train, of_model)
    assert of_train.flagged[[7, 30]].all() and np.isfinite(of_train.score).all()
    assert set(of_train.score.nlargest(2).index) == {7, 30}
    for reason in of_train.because[[7, 30]]:
        low, high = re.fullmatch(r"load is -1 or less, usually (\S+) to (\S+)", reason).groups()
        assert 0 < float(low) < 0.3 and 5 < float(high) < 60  # .99 of a log-normal: .076 to 13
    assert of_train.because[40].startswith("load -0.2, usually")


def test_a_model_without_calibration_says_how_to_get_one(folder, tmp_path):
    from divmix.settings import DiversifiedSettings, TableSettings
    from divmix.workflows.fit import run_fit

    run_fit(
        [str(folder / "train.csv")],
        DiversifiedSettings(clusters=2),
        TableSettings(),
        tmp_path / "plain",
    )
    with pytest.raises(UsageError, match="holds no scores") as caught:
        detect(str(folder / "new.csv"), tmp_path / "out.csv", model=tmp_path / "plain")
    assert "divmix detect" in caught.value.hint


def test_a_damaged_calibration_is_a_model_error(folder, tmp_path):
    from divmix.errors import ModelFileError
    from divmix.model.model_file import read_model, write_model

    detect(str(folder / "new.csv"), tmp_path / "out.csv", run=tmp_path / "run")
    document, arrays = read_model(tmp_path / "run")
    damaged = tmp_path / "damaged.divmix"
    write_model(
        damaged, document, arrays | {"calibration_scores": arrays["calibration_scores"][::-1]}
    )
    with pytest.raises(ModelFileError, match="calibration"):
        Mixture.load(damaged)


def test_a_joint_training_has_the_alpha_of_a_fit_by_default():
    from divmix.anomaly.detector import JOINT
    from divmix.settings import DiversifiedSettings

    assert JOINT.alpha == DiversifiedSettings(clusters=JOINT.clusters).alpha


def test_a_model_of_a_fit_scores_no_rows():
    from divmix.anomaly.detector import calibration_of
    from divmix.settings import DiversifiedSettings
    from divmix.workflows.fit import fit_table

    columns = {"x": np.random.default_rng(0).normal(size=60)}
    fit = fit_table(pa.table(columns), DiversifiedSettings(clusters=2))
    with pytest.raises(UsageError, match="no scores of known rows"):
        calibration_of(fit.mixture)


def test_a_stream_goes_on_from_its_account_and_keeps_to_its_rule(folder, tmp_path):
    train, new = str(folder / "train.csv"), str(folder / "new.csv")
    run = tmp_path / "run"
    detect(train, tmp_path / "fit.csv", training="clean", run=run)
    levels = []
    for batch in range(2):
        found, document = detect(
            new, tmp_path / f"{batch}.csv", model=run, online="saffron", fdr=0.2
        )
        account = json.loads((run / "online.json").read_text())
        assert document["online"]["batches"] == len(account["batches"]) == batch + 1
        assert account["batches"][batch]["flagged"] == found.flagged.sum()
        levels.append(account["batches"][batch]["level"])
    assert found.flagged[480:].all() and levels[0] != levels[1]
    assert document["online"]["flagged"] >= 40
    for error, message, settings in [
        (UsageError, "account of --online saffron --fdr 0.2", dict(online="lond", fdr=0.2)),
        (UsageError, "account of --online saffron --fdr 0.2", dict(online="saffron")),
        (UsageError, "--online is about --fdr", dict(online="lond", alpha_level=0.1)),
        (UsageError, "--storey is about one table", dict(online="lond", storey=True)),
    ]:
        with pytest.raises(error, match=message):
            detect(new, tmp_path / "no.csv", model=run, **settings)
    with pytest.raises(UsageError, match="keeps its account in a run folder"):
        detect(train, tmp_path / "no.csv", online="lond")
    before = (run / "online.json").read_bytes()
    with pytest.raises(OutputError):  # nothing is written, so nothing is counted
        detect(new, tmp_path / "0.csv", model=run, online="saffron", fdr=0.2)
    assert (run / "online.json").read_bytes() == before
    (run / "online.json").write_text("{")
    with pytest.raises(ModelFileError, match=r"online\.json is damaged"):
        detect(new, tmp_path / "no.csv", model=run, online="saffron", fdr=0.2)
    assert not (tmp_path / "no.csv").exists()


def test_p_values_of_rows_that_wandered_need_weights(tmp_path):
    """The spread of b grows with a; in the new table a is larger, and no row is an anomaly."""

    def rows(n, seed, by):
        generator = np.random.default_rng(seed)
        a = by + generator.normal(size=n)
        return pd.DataFrame({"a": a, "b": np.exp(0.4 * a) * generator.normal(size=n)})

    train = write(rows(4_000, 0, 0.0), tmp_path / "train.csv")
    new = write(rows(1_000, 1, 1.0), tmp_path / "new.csv")
    plain, _ = detect(train, tmp_path / "plain.csv", score=[new])
    found, document = detect(train, tmp_path / "out.csv", score=[new], weight_shift=True)
    np.testing.assert_array_equal(found.score, plain.score)
    assert (plain.p_value <= 0.1).mean() > 0.2
    assert 0.05 <= (found.p_value <= 0.1).mean() <= 0.125
    assert any("are worth" in note for note in document["notes"])
    with pytest.raises(UsageError, match="compares new rows with those of the fit"):
        detect(train, tmp_path / "no.csv", weight_shift=True)
    with pytest.raises(UsageError, match="a pipe can be read once"):
        detect(train, tmp_path / "no.csv", score=["-"], weight_shift=True)


def test_a_new_category_is_no_shift_of_the_rows_that_have_it(tmp_path):
    generator = np.random.default_rng(0)
    known, rows = (
        pd.DataFrame(generator.normal(size=(n, 2)), columns=["x", "y"]) for n in (800, 400)
    )
    for frame in (known, rows):
        frame["kind"] = generator.choice(["a", "b"], len(frame))
    rows["x"] += 0.7
    rows.loc[:59, "kind"] = "z"
    found, _ = detect(
        write(known, tmp_path / "known.csv"),
        tmp_path / "out.csv",
        score=[write(rows, tmp_path / "new.csv")],
        weight_shift=True,
    )
    assert found.flagged[:60].mean() > 0.9  # none where the odds of a new row count that category
    assert found.flagged[60:].mean() < 0.05


def test_of_a_row_that_is_scored_two_numbers_are_kept(tmp_path, monkeypatch):
    """A table in batches: memory grows by no more, whatever the rule and the columns."""
    import tracemalloc

    from divmix.workflows import scored_rows

    monkeypatch.setattr(scored_rows, "BATCH_ROWS", 4_096)
    generator, peaks = np.random.default_rng(0), {}
    known = pd.DataFrame(generator.normal(size=(400, 20))).rename(columns="x{}".format)
    settings = dict(training="clean", components=2)
    detect(
        write(known, tmp_path / "known.csv"), tmp_path / "a.csv", run=tmp_path / "run", **settings
    )
    for n in (20_000, 60_000):
        new = pd.DataFrame(generator.normal(size=(n, 20))).rename(columns="x{}".format)
        new.to_parquet(tmp_path / f"{n}.parquet")
        tracemalloc.start()
        run_detect(
            [str(tmp_path / f"{n}.parquet")],
            DetectSettings(contamination=0.01),
            DetectTableSettings(),
            str(tmp_path / f"{n}.csv"),
            model=tmp_path / "run",
        )
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (peaks[60_000] - peaks[20_000]) / 40_000 < 64  # bytes; its columns have 160
    assert pd.read_csv(tmp_path / "60000.csv").because.notna().sum() == 600


def test_a_table_that_changes_until_its_flagged_rows_are_told_is_an_error(folder, tmp_path):
    from divmix.design.design import Design
    from divmix.design.preprocessing import Preprocessing
    from divmix.tables.reading import open_table
    from divmix.workflows.scored_rows import RowsOfFiles

    path = write(normal_rows(60, 0), tmp_path / "new.csv")
    reader = open_table([path])
    rows = RowsOfFiles(
        reader, Design(Preprocessing.learn(reader.read(), DetectTableSettings())), []
    )
    read = sum(map(len, rows.batches()))
    assert read == sum(len(cells()[0]) for cells, _ in rows.parts(True)) == 60
    write(normal_rows(40, 0), tmp_path / "new.csv")
    with pytest.raises(InputError, match="had 60 rows at first and 40 now"):
        list(rows.parts(True))


@pytest.fixture(params=["mean", "median"])
def filled(request, tmp_path):
    """A table in which a length, a width and a word say the same; in the first 20 rows one of the
    numbers alone is there, at an end: what fills the others does not go with it."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=600)
    frame = pd.DataFrame({
        "length": 100 + 10 * x + generator.normal(size=600),
        "width": 50 + 5 * x + 0.5 * generator.normal(size=600),
        "kind": np.where(x > 0, "large", "small"),
    })  # fmt: skip
    for row, far in enumerate([62.5, 37.5] * 10):
        length, width = (2 * far, np.nan) if row < 10 else (np.nan, far)
        frame.loc[row] = [length, width, None]
    write(frame[20:], tmp_path / "known.csv")
    return frame, write(frame, tmp_path / "table.csv"), request.param


def only_cells_that_are_there(told):
    assert told[:20].notna().sum() > 10
    for row, because in told[:20].dropna().items():
        assert because.startswith("length" if row < 10 else "width")
        assert not re.search("; |, | and |kind", because.split(", ", 1)[1])


@pytest.mark.parametrize("encoder", [None, "pca:3"])
@pytest.mark.parametrize("way", ["itself", "score", "model"])
def test_a_cell_that_was_filled_is_never_to_blame(filled, tmp_path, way, encoder):
    _, path, missing = filled
    tables = DetectTableSettings(missing=missing, encoder=encoder)
    options = {"output": tmp_path / "out.csv", "tables": tables, "contamination": 0.05}
    if way == "itself":
        found, document = detect(path, **options)
    else:
        known, run = str(tmp_path / "known.csv"), tmp_path / "run"
        found, document = detect(known, score=[path], run=run, **options)
    if way == "model":
        found, document = detect(path, model=run, overwrite=True, **options)
    only_cells_that_are_there(found.because)
    for own in document["highest"]:
        assert own["because"] == found.because[own["row"]] or pd.isna(found.because[own["row"]])


def test_the_estimator_blames_no_cell_that_was_filled(filled):
    frame, _, missing = filled
    made = MixtureOutlierDetector(missing=missing, random_state=0).fit(frame)
    only_cells_that_are_there(pd.Series(made.explain(frame)))


@pytest.mark.parametrize(
    "training, wrong, told", [("auto", 40, 1), ("auto", 0, 0), ("clean", 40, 0)]
)
def test_known_rows_that_look_like_anomalies_are_told_of(training, wrong, told):
    generator = np.random.default_rng(4)
    X = generator.normal(size=(2_000, 3))
    places = np.arange(wrong), generator.integers(3, size=wrong)
    X[places] += generator.choice([-1, 1], wrong) * generator.uniform(6, 20, size=wrong)
    notes = []
    fit_density(
        pa.table({f"x{j}": column for j, column in enumerate(X.T)}),
        DetectSettings(training=training),
        itself=False,
        notes=notes,
    )
    assert sum("--training mixed" in note for note in notes) == told
    if told:
        assert re.match(
            r"[12]\d of 1,000 known rows that calibrate are far from the others", notes[-1]
        )
