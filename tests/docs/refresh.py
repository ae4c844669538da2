"""Rewrites what the console blocks of the documents show by what the commands print now.

    python tests/docs/refresh.py               # all documents
    python tests/docs/refresh.py docs/tutorial.md

A command that shows nothing stays so; give it any line of output first where it should show some.
"""

import sys
import tempfile
from pathlib import Path

from blocks import BLOCK, DOCUMENTS, ROOT, console, prepare, steps


def refreshed(text: str, folder: Path) -> str:
    """The document with the output of now."""

    def rewrite(found):
        if found["kind"] != "console" or found["reason"]:
            return found[0]
        lines = []
        for step in steps(found["text"], found["columns"] and int(found["columns"])):
            print(f"$ {step.command}", file=sys.stderr)
            done = console(step, folder)
            if done.code and not step.shown.startswith("Error:"):
                print(f"exit code {done.code}\n{done.told}", file=sys.stderr)
            lines.append(f"$ {step.command}\n" + (done.told if step.shown else ""))
        return found[0].replace(found["text"], "".join(lines))

    return BLOCK.sub(rewrite, text)


def main() -> None:
    wanted = [Path(name).resolve() for name in sys.argv[1:]] or DOCUMENTS
    for document in wanted:
        with tempfile.TemporaryDirectory() as name:
            prepare(Path(name))
            before = document.read_text()
            after = refreshed(before, Path(name))
        if after != before:
            document.write_text(after)
            print(f"rewritten: {document.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
