"""The documents are complete, and what they point to exists."""

import re
import shutil
import subprocess
import sys

import pytest

import divmix
from divmix.cli.main import cli
from tests.docs import generate
from tests.docs.blocks import BLOCK, DOCUMENTS, ROOT
from tests.test_layers import LAYERS, PACKAGE

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:\.ci|divmix|docs|sample_data|tests)/[\w./-]*)`")
ENTRY = re.compile(r"^  (\w+(?:/|\.py)) +\S", flags=re.MULTILINE)


def texts():
    return {document: document.read_text() for document in DOCUMENTS}


def anchors(text):
    """The names by which headings can be linked to."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def test_every_command_is_in_the_readme_or_the_docs():
    everything = "\n".join(texts().values())
    for name in cli.list_commands(None):
        assert f"divmix {name}" in everything, name


def test_every_link_to_a_file_resolves():
    pages = {
        **texts(),
        ROOT / "sample_data/README.md": (ROOT / "sample_data/README.md").read_text(),
    }
    for page, text in pages.items():
        for target in LINK.findall(text):
            if target.startswith(("http://", "https://", "mailto:")):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            assert file.exists(), f"{page.name}: {target}"
            if anchor:
                assert anchor in anchors(file.read_text()), f"{page.name}: {target}"


def test_every_path_that_a_document_names_exists():
    for page, text in texts().items():
        for path in PATH.findall(text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def links_of(page):
    return {target.partition("#")[0] for target in LINK.findall((ROOT / page).read_text())}


def test_every_page_of_the_docs_is_linked_from_their_index_and_that_from_the_readme():
    assert "docs/index.md" in links_of("README.md")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages <= links_of("docs/index.md")
    assert pages <= set(re.findall(r"[\w-]+\.md", (ROOT / "mkdocs.yml").read_text()))


def test_the_generated_pages_are_those_of_the_commands_and_docstrings():
    for path, text in generate.files().items():
        assert path.read_text() == text, f"{path.name}: run python tests/docs/generate.py"
    made = {path.name for path in generate.files()}
    assert {path.name for path in (ROOT / "man").iterdir()} <= made


def test_a_man_page_is_read_without_a_warning():
    if shutil.which("groff") is None:
        pytest.skip("there is no groff")
    command = ["groff", "-man", "-Tutf8", "-ww", str(ROOT / "man/divmix-fit.1")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr
    shown = re.sub(r".\x08|\x1b\[\d+m", "", done.stdout)  # bold and underlined
    assert "--covariance" in shown and "EXIT STATUS" in shown


def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "-f", ROOT / "mkdocs.yml", "-d", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--covariance" in (tmp_path / "reference.html").read_text()


def test_the_picture_of_the_packages_is_the_package_in_the_order_of_its_layers():
    developers = (ROOT / "docs/developers.md").read_text()
    (picture,) = (found["text"] for found in BLOCK.finditer(developers)
                  if found["text"].startswith("divmix/\n"))  # fmt: skip
    pictured = ENTRY.findall(picture)
    folders = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    assert sorted(pictured) == sorted(folders | modules)
    assert [name.removesuffix(".py").removesuffix("/") for name in pictured] == LAYERS


def test_the_version_of_the_changelog_is_that_of_the_package():
    assert f"## {divmix.__version__}" in (ROOT / "CHANGELOG.md").read_text()
