"""The documents are complete, and what they point to exists."""

import re

import divmix
from divmix.cli.main import cli
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
    pages = {**texts(), ROOT / "sample_data/README.md": (ROOT / "sample_data/README.md").read_text()}
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


def test_every_page_of_the_docs_is_linked_from_the_readme():
    linked = {target.partition("#")[0] for target in LINK.findall((ROOT / "README.md").read_text())}
    for page in (ROOT / "docs").glob("*.md"):
        assert f"docs/{page.name}" in linked


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
