"""Files that are no tables in a known format, told by their first bytes, each with the way out."""

from pathlib import PurePath

from divmix.errors import InputError
from divmix.tables.sources import Source

_WORKBOOK = "save the sheet as CSV (in Excel: Save As, CSV UTF-8)"
_EXPORT = "export the table as CSV"

# How files begin that are no tables in a known format: what they are, the way out, and a program
# that makes a table of the file, or the suffix of the one that somebody is to write.
_FOREIGN = {
    b"version https://git-lfs.github.com/spec": (
        "a Git LFS pointer, not a table",
        "fetch what it stands for",
        "git lfs smudge <",
    ),
    b"%PDF-": ("a PDF document, not a table", _EXPORT, ".csv"),
    b"<": ("XML or HTML, not a table", _EXPORT, ".csv"),
    b"{": ("JSON, but not one object a line", "write one object a line, as jq -c does", ".jsonl"),
    b"[": ("a JSON array, not one object a line", "write one object a line", "jq -c '.[]'"),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", _WORKBOOK, ".csv"),
    b"SQLite format 3\0": ("a database", _EXPORT, ".csv"),
    b"BZh91AY&SY": ("compressed by bzip2", "unpack it", "bzip2 -dc"),
    b"\xfd7zXZ\0": ("compressed by xz", "unpack it", "xz -dc"),
}


def refuse_foreign(source: Source, head: bytes) -> None:
    """Raise InputError for the start of what is no text table, with the way to make one of it."""
    name, start = source.name, head.removeprefix(b"\xef\xbb\xbf").lstrip()
    found = None
    for magic, kind in _FOREIGN.items():
        if start.startswith(magic) and not (magic == b"[" and start[1:2].isalpha()):
            found = kind
    if start.startswith(b"PK\x03\x04"):
        found = ("a zip archive, not a table", "unpack it", "unzip -p")
        if b"xl/" in head or name.lower().endswith((".xlsx", ".xlsm")):
            found = ("an Excel workbook", _WORKBOOK, ".csv")
        elif name.lower().endswith(".ods"):
            found = ("a spreadsheet", _WORKBOOK, ".csv")
    if not found and b"\0" in head:
        kinds = "CSV, JSON Lines, Parquet and Arrow files are read"
        found = ("not a table in a known format", f"{kinds}: {_EXPORT}", ".csv")
    if found:
        what, hint, way = found
        if way.startswith("."):
            instead = source.again(str(PurePath(name).with_suffix(way)))
        else:
            instead = source.through(way)
        raise InputError(f"{name} is {what}", hint=hint, instead=instead)
