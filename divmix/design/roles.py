"""What each column of a table is, and whether a fit uses it: decided here and nowhere else.

A column of codes has no distances, and a column in which every row differs has no groups, so such
columns are left out unless they are asked for by name. The evidence:

- whole numbers that all differ are an id where a quantity so spread would repeat some value (the
  birthday paradox), where they rise or fall from row to row, where they lie evenly between 0 and
  the end of a range of digits or bits, as drawn numbers do, or where their name says so;
- codes: whole numbers or text with leading zeros, of more digits than a number holds, or under the
  name of an id or a post code, of which there are too many to be categories;
- text is an id where hardly any value comes twice, and free text where it is of several words.
"""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from divmix.design.date_text import DateOrder, date_order
from divmix.errors import InputError
from divmix.settings import TableSettings, in_shell
from divmix.tables import arrays
from divmix.tables.schema import Column, Schema, is_number, is_text, unknown_column

# By chance a quantity looks like an id this rarely.
LEVEL = 0.01
# Of the distance to an even spread, at this many rows (Kolmogorov and Smirnov, 5 %).
EVEN, ENOUGH_ROWS = 1.36, 20
# Text with fewer rows a value than this, on average, has no groups to find.
ROWS_A_VALUE = 2
FEWEST_TEXTS = 8  # values; fewer are categories whatever their rows
MOST_CODES = 20  # values of a column that is named like an id, for it to be one of categories
FREE_WORDS = 3  # words in a cell of free text, on average
LOOKED_AT = 2_000  # distinct values that tell whether text is dates, or free
EXACT = 2**53  # whole numbers beyond are rounded

# Names of what numbers something: all-different whole numbers under them are an id.
_ID_NAME = re.compile(
    r"(?:^|[_ .-])(?:id|ids|uid|uuid|guid|key|pk|index|idx|isbn|ean|ssn|iban|sku|code)$|[a-z](?:I[Dd]|Key)$"
    r"|^(?:id|uuid|guid|rowid|row|rownum|row_?number|unnamed: ?0)(?:[_ .-]|$)"
    r"|^(?:.*[_ .-])?(?:zip|zip_?code|post_?code|postal_?code|plz|phone|telephone|tel|mobile|fax)$"
    r"|^(?:customer|client|user|account|order|invoice|patient|member|employee|student|transaction"
    r"|ticket|kunden?|person)(?:[_ .-]?(?:no|nr|num|number|nummer|id|code))?$",
    re.IGNORECASE,
)
# Names of codes, also where values repeat: an id of another table, a post code.
_CODE_NAME = re.compile(
    r"(?:^|[_ .-])(?:id|ids|uid|uuid|guid|isbn|ean|ssn|iban|sku)$|[a-z]I[Dd]$"
    r"|^(?:.*[_ .-])?(?:zip|zip_?code|post_?code|postal_?code|plz|phone|telephone|tel|mobile|fax)$"
    r"|(?:^|[_ .-])(?:customer|client|user|account|invoice|patient|member|employee|student"
    r"|transaction|kunden?)[_ .-]?(?:no|nr|num|number|nummer|code)$",
    re.IGNORECASE,
)
_TARGET_NAME = re.compile(
    r"^(?:true_?)?(?:class|classes|label|labels|target|species|outcome|diagnosis|cluster|clusters"
    r"|segment|group|y|ground_?truth|klasse)$",
    re.IGNORECASE,
)
_YES_NO = ({"yes", "no"}, {"y", "n"}, {"ja", "nein"}, {"oui", "non"}, {"on", "off"}, {"t", "f"},
           {"true", "false"})  # fmt: skip


@dataclass(frozen=True)
class Role:
    """What a column is, and what a fit does with it.

    role : number, category, yes/no, date, id, code, free text, constant, empty or other; or what
        settings make of it: truth, weight. kind : how it enters the fit ("numeric", "boolean",
        "categorical", "date"), None for a column that is left out. why : a few words, "" where
        the role says it all. asked : whether an option says what is done with it. target : whether
        its name is that of known classes. values : how many different ones, None unless counted.
    order : of the dates in a column of text or whole numbers, None for others.
    """

    name: str
    role: str
    kind: str | None
    why: str = ""
    asked: bool = False
    target: bool = False
    values: int | None = None
    order: DateOrder | None = None

    @property
    def used(self) -> bool:
        return self.kind is not None

    def told(self) -> str:
        """`id (all different)`, `signup (date)`."""
        return f"{self.name} ({self.why or self.role})"


def assign_roles(table: pa.Table | pa.RecordBatch, settings: TableSettings) -> tuple[Role, ...]:
    """The role of each column of a table, in its order.

    Raises InputError for a name in the settings that the table lacks.
    """
    names = table.schema.names
    for name in _mentioned(settings):
        if name not in names:
            raise unknown_column(name, names)
    return tuple(_role(name, _whole(table.column(name)), settings) for name in names)


def chosen_columns(roles: Collection[Role], settings: TableSettings) -> Schema:
    """The columns of a fit. Raises InputError where none is left, and for one that cannot enter
    although it is asked for."""
    columns = tuple(Column(role.name, role.kind) for role in roles if role.kind is not None)
    if not columns:
        left_out = [role.told() for role in roles if not role.asked]
        why = f": {', '.join(left_out[:5])}" if left_out else ""
        hint = "check --columns and --exclude"
        if left_out:
            hint = f"--columns {left_out[0].split(' (')[0]} brings it in"
        raise InputError(f"no column is left to fit{why}", hint=hint)
    _check_logged(columns, settings)
    return Schema(columns, settings.truth, settings.weight)


def left_out(roles: Collection[Role]) -> list[Role]:
    """The columns that no option mentions and that are not used."""
    return [role for role in roles if not role.used and not role.asked]


def notes_on_roles(roles: Collection[Role], settings: TableSettings) -> list[str]:
    """Sentences on what was left out unasked, and on columns that may hold known classes."""
    notes, out = [], left_out(roles)
    if out:
        dates = ", or --dates numeric" if any(role.role == "date" for role in out) else ""
        told = ", ".join(role.told() for role in out)
        notes.append(f"left out: {told}; --columns brings them in{dates}")
    targets = [role.name for role in roles if role.target and role.used and not role.asked]
    if targets and settings.truth is None:
        notes.append(
            f"column '{targets[0]}' may hold known classes: --truth {targets[0]} keeps it out of "
            "the fit and compares"
        )
    return notes


def _role(name: str, column: pa.Array, settings: TableSettings) -> Role:
    """By the settings where they mention the column, else by what it holds."""
    own = _own_role(name, column, settings)
    if name == settings.weight or name == settings.truth:
        return Role(name, "weight" if name == settings.weight else "truth", None, asked=True)
    if name in settings.exclude:
        return Role(name, own.role, None, "excluded", asked=True)
    wanted = settings.columns is not None and name in settings.columns
    if settings.columns is not None and not wanted:
        return Role(name, own.role, None, "not asked for", asked=True)
    if name in settings.categorical:
        return Role(name, "category", "categorical", asked=True, values=own.values)
    if wanted or (name in settings.log and own.role != "date"):
        return Role(
            name, own.role, _kind(name, column, own), asked=True, values=own.values, order=own.order
        )
    return own


def _own_role(name: str, column: pa.Array, settings: TableSettings) -> Role:
    kind, target = column.type, _TARGET_NAME.match(name) is not None
    if types.is_null(kind) or len(column) == column.null_count:
        return Role(name, "empty", None)
    if types.is_date(kind) or types.is_timestamp(kind):
        return _date(name, None, settings)
    if types.is_boolean(kind):
        return Role(name, "yes/no", "boolean", target=target)
    if is_text(kind):
        return _text_role(name, pc.cast(column, pa.large_string()), settings, target)
    if not is_number(kind):
        return Role(name, "other", None, f"{kind}, which cannot enter a fit")
    return _number_role(name, column, settings, target)


def _date(name: str, order: DateOrder | None, settings: TableSettings) -> Role:
    kind = None if settings.dates == "ignore" else "date"
    return Role(name, "date", kind, order=order)


def _number_role(name: str, column: pa.Array, settings: TableSettings, target: bool) -> Role:
    if types.is_integer(column.type) and column.null_count == 0:
        values = np.asarray(np.from_dlpack(column))
    else:
        values = arrays.to_floats(column)
        values = values[~np.isnan(values)]
    if not len(values):
        return Role(name, "empty", None)
    lowest, highest = values.min(), values.max()
    if lowest == highest:
        return Role(name, "constant", "numeric")
    if not np.isfinite(highest) or not np.isfinite(lowest) or not _are_whole(values):
        return Role(name, "number", "numeric")
    if types.is_integer(column.type) and max(abs(int(lowest)), abs(int(highest))) > EXACT:
        return Role(name, "code", None, "numbers of more digits than can be told apart")
    order = _days(values, lowest, highest)
    if order is not None:
        return _date(name, order, settings)
    if _all_differ(values) and (why := _why_id(name, values, float(highest - lowest) + 1)):
        return Role(name, "id", None, why)
    coded = _CODE_NAME.search(name) is not None
    if not coded and not target:
        return Role(name, "number", "numeric")
    distinct = len(np.unique(values))
    if coded and distinct > MOST_CODES:
        return Role(name, "code", None, f"codes, {distinct:,} different")
    return Role(name, "number", "numeric", target=target and distinct <= MOST_CODES)


def _all_differ(values: np.ndarray) -> bool:
    """Whether no value of (n,) comes twice; most columns tell by their first thousand rows."""
    return all(len(np.unique(part)) == len(part) for part in (values[:1_000], values))


def _are_whole(values: np.ndarray) -> bool:
    if values.dtype.kind in "iu":
        return True
    start = values[:1_000]  # most columns of numbers have fractions among these
    return bool((start == np.floor(start)).all() and (values == np.floor(values)).all())


def _days(values: np.ndarray, lowest: float, highest: float) -> DateOrder | None:
    """The order yyyymmdd, for whole numbers that all are such days."""
    if not (lowest >= 19000101 and highest <= 20991231) or len(values) < ENOUGH_ROWS:
        return None
    order = DateOrder("yyyymmdd")
    days = np.unique(values[:LOOKED_AT]).astype(np.int64).tolist()
    return order if all(order.moment(str(day)) for day in days) else None


def _why_id(name: str, values: np.ndarray, span: float) -> str:
    """Why whole numbers (n,) that all differ, over a range of `span`, are an id; "" for none."""
    n = len(values)
    if _ID_NAME.search(name):
        return "all different"
    # n draws from a range differ with the highest probability where each number is as likely.
    if span < 1e9:
        log_no_repeat = math.lgamma(span + 1) - math.lgamma(span - n + 1) - n * math.log(span)
    else:  # where those are differences of numbers too large for it
        log_no_repeat = -n * (n - 1) / (2 * span)
    if log_no_repeat < math.log(LEVEL):
        return "all different"
    steps = np.sign(np.diff(values.astype(np.float64)))
    if abs(steps.sum()) == n - 1 and math.log(2) - math.lgamma(n + 1) < math.log(LEVEL):
        return "all different, row by row"
    return "all different, evenly spread" if _is_even(values) else ""


def _is_even(values: np.ndarray) -> bool:
    """Whether numbers are spread like draws from those of as many digits, or of 31, 32, 63 bits."""
    n, highest = len(values), float(values.max())
    if n < ENOUGH_ROWS or values.min() < 0 or highest < 10_000:
        return False
    digits = 10.0 ** math.ceil(math.log10(highest + 1))
    ranges = [(0.0, digits), (digits / 10, digits), *((0.0, 2.0**bits) for bits in (31, 32, 63))]
    ordered, places = np.sort(values.astype(np.float64)), np.arange(n)
    for start, stop in ranges:
        share = (ordered - start) / (stop - start)
        gap = max(np.abs(share - places / n).max(), np.abs(share - (places + 1) / n).max())
        if share[0] >= 0 and share[-1] <= 1 and gap * math.sqrt(n) < EVEN:
            return True
    return False


def _text_role(name: str, texts: pa.Array, settings: TableSettings, target: bool) -> Role:
    found = pc.unique(texts.drop_null())
    values, distinct = found.slice(0, LOOKED_AT).to_pylist(), len(found)
    order = date_order(values) if any(c.isdigit() for c in values[0]) else None
    if order is not None and not all(value.isdigit() and len(value) != 8 for value in values):
        return _date(name, order, settings)
    if distinct == 1:
        return Role(name, "constant", "categorical", values=1)
    if distinct == 2 and {value.strip().lower() for value in values} in _YES_NO:
        return Role(name, "yes/no", "categorical", target=target, values=2)
    rows = len(texts) - texts.null_count
    words = float(np.mean([len(value.split()) for value in values]))
    scarce = distinct >= FEWEST_TEXTS and rows < ROWS_A_VALUE * distinct
    if scarce or distinct > settings.max_categories:
        if words >= FREE_WORDS:
            return Role(name, "free text", None)
        why = "all different" if distinct == rows else f"{distinct:,} different texts"
        return Role(name, "id" if scarce else "code", None, why)
    digits = all(value.isdigit() for value in values)
    if distinct > MOST_CODES and (digits or _CODE_NAME.search(name)):
        return Role(name, "code", None, f"codes, {distinct:,} different")
    return Role(name, "category", "categorical", target=target, values=distinct)


def _kind(name: str, column: pa.Array, own: Role) -> str:
    """How a column that is asked for enters. Raises InputError for what cannot."""
    kind = column.type
    if own.role == "date":
        return "date"
    if is_text(kind):
        return "categorical"
    if types.is_boolean(kind):
        return "boolean"
    if is_number(kind) or types.is_null(kind):
        return "numeric"
    raise InputError(
        f"column '{name}' is {kind}, which cannot enter a fit",
        hint=f"use --exclude {in_shell(name)}, or store it as a number",
    )


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _mentioned(settings: TableSettings) -> list[str]:
    log = () if settings.log == ("auto",) else settings.log
    single = [name for name in (settings.truth, settings.weight) if name is not None]
    return [*(settings.columns or ()), *settings.exclude, *settings.categorical, *log, *single]


def _check_logged(columns: tuple[Column, ...], settings: TableSettings) -> None:
    if settings.log == ("auto",):
        return
    kinds = {column.name: column.kind for column in columns}
    for name in settings.log:
        if kinds.get(name) != "numeric":
            found = f"is {kinds[name]}" if name in kinds else "does not enter the fit"
            raise InputError(
                f"--log {name}: the column {found}",
                hint="--log takes number columns of the fit, or auto",
            )
