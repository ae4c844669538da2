"""What is built is whole: the wheel and the source distribution, installed where nothing else is."""

import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile

import pytest

import divmix
from tests.docs.blocks import ROOT

CITATION = (ROOT / "CITATION.cff").read_text()


def test_the_citation_is_of_this_version_and_licence():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"\nversion: {divmix.__version__}\n" in CITATION
    assert "license: BSD-3-Clause" in CITATION and "LICENSE" in project["license"]["file"]
    for field in ("cff-version:", "title:", "authors:", "message:"):
        assert f"\n{field}" in f"\n{CITATION}"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel made of the source distribution, as an installer does it."""
    folder = tmp_path_factory.mktemp("dist")
    build = "import setuptools.build_meta as b, sys; print(b.build_sdist(sys.argv[1]))"
    source = folder / "source"
    copied = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True)
    for name in copied.stdout.decode().split("\0")[:-1]:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-c", build, folder], cwd=source, check=True, capture_output=True
    )
    (sdist,) = folder.glob("*.tar.gz")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, sdist]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


@pytest.mark.long
def test_the_source_distribution_holds_docs_tables_and_tests(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("CITATION.cff", "docs/index.md", "sample_data/wine.csv", "tests/test_layers.py"):
        assert name in names


@pytest.mark.long
def test_the_wheel_works_where_nothing_else_of_the_repository_is(built, tmp_path):
    with zipfile.ZipFile(built[1]) as archive:
        names = archive.namelist()
    assert any(name.endswith("share/man/man1/divmix-fit.1") for name in names)
    assert not any(name.startswith("tests/") for name in names)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", built[1]], check=True, capture_output=True
    )
    table = ROOT / "sample_data/wine.csv"
    for arguments in (
        ["fit", table, "-k", "3", "--exclude", "class", "-o", "run"],
        ["predict", "run", table, "-o", "labels.csv"],
        ["report", "run"],
    ):
        command = [tmp_path / "venv/bin/divmix", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/report.html").stat().st_size > 10_000
    assert (tmp_path / "venv/share/man/man1/divmix.1").exists()
