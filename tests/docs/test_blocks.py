"""The documents are executed: console blocks print what they show, up to digits of figures."""

import re
import sys
from itertools import chain

import pytest

from tests.docs.blocks import (
    DOCUMENTS,
    blocks,
    console,
    folded,
    not_run,
    prepare,
    run,
    screen,
    sessions,
)

NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
TEXTS = {document.name: document.read_text() for document in DOCUMENTS}
# Setting up, and commands on tables or with programs that a reader has and this test has not.
MOST_NOT_RUN = 8


def words(text):
    return NUMBER.sub("#", " ".join(text.split()))


def numbers(text):
    return [float(number.replace(",", "")) for number in NUMBER.findall(text)]


def assert_same_up_to_digits(shown, printed, command):
    """Words equal, numbers within 1 %: other processors round in other places."""
    hint = f"$ {command}\n{printed}\n(python tests/docs/refresh.py rewrites what is shown)"
    assert words(shown) == words(printed), hint
    assert numbers(printed) == pytest.approx(numbers(shown), rel=0.01, abs=1e-9), hint


@pytest.fixture
def folder(tmp_path):
    prepare(tmp_path)
    return tmp_path


def documents_with(kind):
    return [name for name, text in TEXTS.items() if blocks(text, kind)]


@pytest.mark.parametrize("name", documents_with("console"))
def test_commands_print_what_the_document_shows(name, folder):
    for step in chain.from_iterable(sessions(TEXTS[name])):
        done = console(step, folder)
        if step.shown.startswith("Error:"):
            assert done.code in (2, 3), done.told
        else:
            assert done.code == 0, f"$ {step.command}\n{done.told}"
        if step.shown:
            assert_same_up_to_digits(step.shown, done.told, step.command)
        else:  # the summary for the eye is left out there, data would not be
            assert not done.stdout, step.command


def test_shell_blocks_run(folder):
    for block in (block for text in TEXTS.values() for block in blocks(text, "sh")):
        done = run(["bash", "-e", "-c", block], folder)
        assert done.code == 0, f"{block}\n{done.told}"


@pytest.mark.parametrize("name", documents_with("python"))
def test_python_blocks_run(name, folder):
    for block in blocks(TEXTS[name], "python"):
        done = run([sys.executable, "-c", block], folder)
        assert done.code == 0, f"{block}\n{done.told}"
        assert done.stdout


def test_the_fit_that_the_readme_opens_with_shows_its_whole_summary():
    step = sessions(TEXTS["README.md"])[0][0]
    assert step.command == "divmix fit sample_data/wine.csv -k 3 --truth class"
    for said in ("what sets it apart", "log-likelihood", "against truth", "wrote", "next"):
        assert said in step.shown


def test_few_blocks_are_not_run_and_each_says_why():
    reasons = [reason for text in TEXTS.values() for reason in not_run(text)]
    assert len(reasons) <= MOST_NOT_RUN, reasons


def test_a_screen_shows_what_is_left_of_a_bar():
    bar = "\x1b[?25l\r\x1b[2K\x1b[32mx\x1b[0m fit\r\x1b[2Kfit 9/9\r\n\x1b[?25h\r\x1b[1A\x1b[2K"
    assert screen(bar + "\x1b[1mdone\x1b[0m\r\nnext\r\n") == "done\nnext\n"


def test_a_line_that_is_too_long_goes_on_below():
    assert folded("abcdef\n\nabc   \n", 3) == "abc\ndef\n\nabc\n"


def test_figures_may_differ_by_a_hundredth_and_words_by_nothing():
    assert_same_up_to_digits("ARI 0.933, 1,601 rows", "ARI  0.931, 1600 rows", "")
    with pytest.raises(AssertionError):
        assert_same_up_to_digits("ARI 0.933", "ARI 0.900", "")
    with pytest.raises(AssertionError):
        assert_same_up_to_digits("ARI 0.933", "NMI 0.933", "")
