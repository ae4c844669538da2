"""The page of a run, also in a real browser where there is one."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from divmix.cli.main import cli
from divmix.errors import InputError, ModelFileError, OutputError
from divmix.settings import (
    DetectSettings,
    DetectTableSettings,
    DiversifiedSettings,
    EmSettings,
    TableSettings,
)
from divmix.workflows.command_line import command_of
from divmix.workflows.cut import run_cut
from divmix.workflows.detect import run_detect
from divmix.workflows.fit import run_fit
from divmix.workflows.plot import draw_run, plot_run
from divmix.workflows.report import run_report
from tests.report.reader import WINE, Reader

SECTIONS = [
    "clusters", "picture-section", "profile", "uncertainty", "outliers", "trace", "certificate", "settings",
]  # fmt: skip
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def page(wine):
    told = run_report(wine, wine / "report.html")
    text = (wine / "report.html").read_text()
    assert told["bytes"] == len(text.encode()) and told["rows_drawn"] == 178
    return text


def test_the_page_is_whole_and_needs_nothing_else(page):
    read = Reader(page)
    assert not read.open and not read.silent
    assert set(SECTIONS) <= set(read.ids) and len(read.ids) == len(set(read.ids))
    assert all(address.startswith("data:") for address in read.addresses)
    assert (
        "http://" not in page.replace("http://www.w3.org/2000/svg", "") and "https://" not in page
    )
    assert "default-src 'none'" in page


def test_it_tells_what_the_run_found(page, wine):
    text = Reader(page).text
    result = json.loads((wine / "run.json").read_text())["result"]
    assert f"{result['log_likelihood']:.4f}" in text
    assert f"{result['evaluation']['ari']:.3f}" in text
    assert f"divmix fit {WINE} -k 3 --truth class" in text
    lowest = pd.read_csv(wine / "assignments.csv")["log_density"].idxmin()
    assert re.search(rf"row, from 0.*?because of{lowest}", text)
    for cluster in result["clusters"]:
        assert cluster["apart"][0]["column"] in text
    confusion = re.search(r"class_2(.*?)Outliers", text, re.DOTALL).group(1)
    assert confusion.count("0") > 3


def test_the_same_run_gives_the_same_page(page, wine, tmp_path):
    run_report(wine, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == page


def test_nothing_is_overwritten_unasked(page, wine):
    with pytest.raises(OutputError, match="exists already"):
        run_report(wine, wine / "report.html")


def test_a_fit_may_replace_a_run_with_a_page(page, wine, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(wine, run)
    run_fit([WINE], EmSettings(clusters=2), TableSettings(exclude=("class",)), run, overwrite=True)
    assert not (run / "report.html").exists()  # it would tell of another run
    run_report(run, tmp_path / "em.html")
    text = Reader((tmp_path / "em.html").read_text()).text
    assert "no merge tree" in text and "--method em" in text


def test_a_table_named_from_elsewhere_is_found_beside_the_run(tmp_path, monkeypatch):
    shutil.copy(WINE, tmp_path / "wine.csv")
    monkeypatch.chdir(tmp_path)
    run_fit(["wine.csv"], EmSettings(clusters=2), TableSettings(), Path("run"))
    monkeypatch.chdir("/")
    assert run_report(tmp_path / "run", tmp_path / "a.html")["rows_drawn"] == 178


def test_without_its_table_the_page_says_so(wine, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(wine, run)
    document = json.loads((run / "run.json").read_text())
    document["input"]["names"] = [str(tmp_path / "moved.csv")]
    (run / "run.json").write_text(json.dumps(document))
    run_report(run, tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert "moved.csv is not there any more" in text and 'href="data:,"' in text
    shutil.copy(WINE, tmp_path / "moved.csv")
    run_report(run, tmp_path / "b.html")
    assert "is not there any more" not in (tmp_path / "b.html").read_text()
    (tmp_path / "moved.csv").write_text("alcohol\n1\n")
    run_report(run, tmp_path / "c.html")
    assert "has changed since the run" in (tmp_path / "c.html").read_text()
    short = pd.read_csv(WINE).head(50)
    short.to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(InputError, match="50 rows, the run 178"):
        run_report(run, tmp_path / "d.html", sources=[str(tmp_path / "short.csv")])


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"no run folder"):
        run_report(tmp_path, tmp_path / "a.html")


def test_names_cannot_break_the_page(tmp_path):
    generator = np.random.default_rng(0)
    evil = "</script><b onload='x'>"
    table = pd.DataFrame({evil: generator.normal(size=60), "b": generator.normal(size=60)})
    table[evil] += np.arange(60) % 2 * 9
    table["kind"] = np.where(np.arange(60) % 2, "<i>", "&")
    table.to_parquet(tmp_path / "t.parquet")
    settings = TableSettings(truth="kind")
    run_fit(
        [str(tmp_path / "t.parquet")], DiversifiedSettings(clusters=2), settings, tmp_path / "run"
    )
    run_report(tmp_path / "run", tmp_path / "a.html")
    read = Reader((tmp_path / "a.html").read_text())
    assert not read.open and evil in read.text and "<i>" in read.text


def test_numbers_are_those_of_a_table_and_categories_stand_together(tmp_path):
    generator = np.random.default_rng(1)
    group = np.arange(120) % 2
    table = pd.DataFrame({"income": 30_000 + 50_000.0 * group + generator.normal(size=120)})
    table["age"] = 40 + 4 * group + generator.normal(size=120)
    table["wave"] = 0.8 * group + generator.normal(size=120)
    common, rare = generator.random(120) < 0.9, np.arange(120) % 15 == 0
    table["land"] = np.where(rare, "FR", np.where(common == (group == 1), "AT", "DE"))
    table.to_parquet(tmp_path / "t.parquet")
    run = tmp_path / "run"
    run_fit([str(tmp_path / "t.parquet")], DiversifiedSettings(clusters=2), TableSettings(), run)
    run_report(run, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "e+0" not in re.sub(r"<script.*", "", page, flags=re.DOTALL)
    profile = page[page.index('<section id="profile"') : page.index('<section id="uncertainty"')]
    names = re.findall(r'scope="row">([^<]*)', profile)
    assert names[:2] == ["income", "age"]
    assert {*names[2:4]} == {"land=AT", "land=DE"} and names[4:] == ["land=FR", "wave"]
    share = r"<td[^>]*>\d+\.\d%</td>"
    assert len(re.findall(share, profile)) == 9
    assert "high income (80000, 55000 overall)" in Reader(page).text


def test_a_cut_has_a_page(wine, tmp_path):
    run_cut(wine, 2, tmp_path / "cut", sources=[WINE])
    run_report(tmp_path / "cut", tmp_path / "c.html")
    assert "divmix cut" in Reader((tmp_path / "c.html").read_text()).text


def test_a_run_of_detect_has_a_page_with_what_it_flagged(detected, tmp_path):
    run, found = detected
    assert run_report(run, tmp_path / "a.html")["rows_drawn"] == 178
    page = (tmp_path / "a.html").read_text()
    text = Reader(page).text
    assert f"{found['flagged']}rows flagged" in text and "178rows scored" in text
    for own in found["highest"]:
        assert own["because"] in text
    assert f"divmix detect {WINE} --contamination 0.02 --components 2 --exclude class" in text
    counts = [int(n) for n in re.findall(r"<title>(\d+) rows</title>", page)]
    written = pd.read_csv(run / "scores.csv")
    assert counts == np.histogram(written["p_value"], 20, (0, 1))[0].tolist()
    assert len(found["highest"]) == 10 and written["flagged"].sum() == found["flagged"]


def test_a_detection_of_new_rows_shows_these(detected, tmp_path):
    known, new = tmp_path / "known.csv", tmp_path / "new.csv"
    table = pd.read_csv(WINE).drop(columns="class")
    table.iloc[:120].to_csv(known, index=False)
    table.iloc[120:].to_csv(new, index=False)
    run = tmp_path / "run"
    settings = DetectSettings(components=2, alpha_level=0.2)
    run_detect([str(known)], settings, DetectTableSettings(), None, score=[str(new)], run=run)
    assert run_report(run, tmp_path / "a.html")["rows_drawn"] == 58
    assert f"--score {new}" in Reader((tmp_path / "a.html").read_text()).text
    new.unlink()
    run_report(run, tmp_path / "b.html")
    text = Reader((tmp_path / "b.html").read_text()).text
    assert "new.csv is not there any more" in text and "Highest scores" in text


def test_a_run_of_select_has_a_page_with_its_criteria(chosen, tmp_path):
    run, document = chosen
    assert run_report(run, tmp_path / "a.html")["rows_drawn"] == 0
    page = (tmp_path / "a.html").read_text()
    text = Reader(page).text
    assert f"divmix select {WINE} -k 2:4 --exclude class" in text
    assert document["reason"][1:] in text
    for row in document["rows"]:
        assert f"{row['bic']:.7g}" in text
    (x,) = {float(x) for x in re.findall(r'class="cut" d="M([\d.]+) 0V', page)}
    assert x == 600 * (document["clusters"] - 2) / 2
    with pytest.raises(InputError, match="run of select"):
        plot_run(run, 60, 20, lambda text, rgb: text)


def test_a_command_repeats_every_setting():
    settings = DiversifiedSettings(clusters=4, noise=True, seed=3).to_dict()
    tables = TableSettings(exclude=("id", "a b"), header=False).to_dict()
    document = {"command": "fit", "settings": settings | tables, "input": {"names": ["a b.csv"]}}
    document = json.loads(json.dumps(document))
    expected = "divmix fit 'a b.csv' -k 4 --noise --seed 3 --exclude 'id,a b' --no-header"
    assert sorted(command_of(document).split()) == sorted(expected.split())


def test_size_follows_from_clusters_and_columns_not_from_rows(tmp_path):
    sizes = []
    for n in (2_000, 40_000):
        generator = np.random.default_rng(0)
        table = pd.DataFrame(generator.normal(size=(n, 4)) + (np.arange(n) % 3)[:, None] * 6)
        table.columns = list("abcd")
        table.to_parquet(tmp_path / f"{n}.parquet")
        settings = DiversifiedSettings(clusters=3, max_iter=5, covariance="full")
        run = tmp_path / f"{n}"
        run_fit([str(tmp_path / f"{n}.parquet")], settings, TableSettings(), run)
        sizes.append(run_report(run, tmp_path / f"{n}.html")["bytes"])
    assert sizes[1] < 2 * sizes[0] < 400_000


def test_the_picture_in_characters(wine):
    plain = plot_run(wine, 60, 20, lambda text, rgb: text)
    lines = plain.splitlines()
    assert "● 0  ● 1  ● 2" in plain and "nats per row, over" in plain
    assert max(map(len, lines[:20])) <= 60
    assert sum("⠀" < sign <= "⣿" for line in lines[:20] for sign in line) > 80
    assert plot_run(wine, 60, 20, lambda text, rgb: f"{rgb}").count("(31, 119, 180)") > 10


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_the_picture_as_a_file(wine, tmp_path, kind):
    pytest.importorskip("matplotlib", reason="the extra report is not installed")
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    for trace in (False, True):
        path = tmp_path / f"{trace}.{kind}"
        draw_run(wine, path, trace=trace)
        assert path.read_bytes().startswith(starts[kind])
    with pytest.raises(OutputError, match="unknown kind"):
        draw_run(wine, tmp_path / "a.gif")


def test_the_figure_of_a_fit_is_that_of_plot(wine, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra report is not installed")
    run_fit(
        [WINE],
        DiversifiedSettings(clusters=3),
        TableSettings(truth="class"),
        tmp_path / "run",
        figures="svg",
    )
    draw_run(tmp_path / "run", tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_bytes() == (tmp_path / "run" / "clusters.svg").read_bytes()


def test_the_commands(wine, tmp_path, capsys):
    for arguments in (
        ["report", str(wine), "-o", str(tmp_path / "a.html"), "--json"],
        ["plot", str(wine)],
    ):
        with pytest.raises(SystemExit) as left:
            cli(arguments)
        assert left.value.code == 0
    assert '"rows_drawn": 178' in capsys.readouterr().out


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_in_a_browser_the_tree_cuts_the_picture_again(page, tmp_path):
    acting = (
        "<script>const s=document.getElementById('cut-at');"
        "const f=document.getElementById('picture-rows').getAttribute('href');"
        "s.value=5;s.dispatchEvent(new Event('input'));"
        "const i=new Image();i.onload=()=>{document.title=[i.width,"
        "document.getElementById('picture-rows').getAttribute('href')!==f].join()};"
        "i.src=document.getElementById('picture-rows').getAttribute('href');</script></body>"
    )
    (tmp_path / "page.html").write_text(page.replace("</body>", acting))
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=3000", "--dump-dom",
        f"file://{tmp_path}/page.html",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "CONSOLE" not in done.stderr
    read = Reader(done.stdout)
    assert set(SECTIONS) <= set(read.ids)
    assert "<title>600,true</title>" in done.stdout  # the new picture is an image that can be read
    ellipses = re.search(r'id="picture-ellipses".*?</g>', done.stdout, re.DOTALL).group(0)
    assert ellipses.count("<ellipse") == 5
    assert "divmix cut wine.divmix -k 5" in read.text
