"""What a checkpoint may hold, as JSON and a few arrays, and back.

A closed set: plain values, tuples, arrays, generators and the tuples with names in `RECORDS`, whose
fields and their types are the schema. Nothing else is written, nothing else is made of what is read.
docs/checkpoint-format.md says the same in words.
"""

import math
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import numpy as np

from divmix.choosing.outliers import FirstLook
from divmix.engine.checkpoint import Standing
from divmix.engine.loop import Climb, Walk
from divmix.engine.state import State
from divmix.families import Components
from divmix.merging.hierarchy import Hierarchy, Level, Way
from divmix.merging.tree import MergeTree
from divmix.particles.optimizers import Memory
from divmix.progress import TraceRow
from divmix.rows import MemoryRows
from divmix.search.phases import Carried
from divmix.search.reduce import Reduced

RECORDS: dict[str, type] = {
    record.__name__: record
    for record in (
        Standing, State, Climb, Walk, Components, Memory, Carried, Reduced, Hierarchy, MergeTree,
        FirstLook, Way, Level,
    )
}  # fmt: skip
KINDS = ("float64", "int64", "bool")  # of arrays
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

Arrays = dict[str, np.ndarray]


class Packed(NamedTuple):
    """A value as JSON, and all numbers of its arrays one after the other, for each of KINDS."""

    value: Any
    arrays: Arrays


def pack(value: Any) -> Packed:
    """Raises TypeError for what a checkpoint may not hold."""
    packer = _Packer()
    packed = packer.pack(value)
    arrays = {
        kind: np.concatenate([np.zeros(0, kind), *parts]) for kind, parts in packer.parts.items()
    }
    return Packed(packed, arrays)


class _Packer:
    def __init__(self) -> None:
        self.parts: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
        self.sizes = dict.fromkeys(KINDS, 0)

    def pack(self, value: Any) -> Any:
        if value is None or isinstance(value, str | bool | np.bool_):
            return bool(value) if isinstance(value, np.bool_) else value
        if isinstance(value, int | np.integer):
            return int(value)
        if isinstance(value, float | np.floating):
            return float(value) if math.isfinite(value) else {"float": str(float(value))}
        if isinstance(value, np.ndarray):
            return self.array(value)
        if isinstance(value, np.random.Generator):
            return {"generator": value.bit_generator.state}
        if isinstance(value, MemoryRows):
            return None  # they are drawn again
        record = type(value).__name__
        if RECORDS.get(record) is type(value):
            fields = {name: self.pack(getattr(value, name)) for name in get_type_hints(type(value))}
            return {"record": record, "fields": fields}
        if type(value) is tuple and value and all(type(one) is TraceRow for one in value):
            return self.trace(value)
        if type(value) is tuple:
            return [self.pack(own) for own in value]
        if type(value) is dict:
            return {"entries": {name: self.pack(own) for name, own in value.items()}}
        raise TypeError(f"a checkpoint holds no {type(value).__name__}")

    def array(self, values: np.ndarray) -> Any:
        kind = values.dtype.name
        if kind not in KINDS:
            raise TypeError(f"a checkpoint holds no array of {kind}")
        # In the order in which it lies: sums over it must add in the same order again.
        columns = values.flags.f_contiguous and not values.flags.c_contiguous
        at, shape = self.sizes[kind], list(values.shape)
        self.parts[kind].append(values.ravel("F" if columns else "C"))
        self.sizes[kind] += values.size
        return {"array": kind, "at": at, "shape": shape, "by_columns": columns}

    def trace(self, rows: tuple[TraceRow, ...]) -> Any:
        columns = dict(zip(TraceRow._fields, zip(*rows)))
        phases = list(dict.fromkeys(columns["phase"]))
        columns["phase"] = tuple(phases.index(phase) for phase in columns["phase"])
        columns["gap"] = tuple(math.nan if gap is None else gap for gap in columns["gap"])
        arrays = {name: self.array(np.array(column)) for name, column in columns.items()}
        return {"trace": arrays, "phases": phases}


def unpack(packed: Packed) -> Any:
    """The value that was packed, without its rows. Raises ValueError for what none would give."""
    try:
        return _unpack(packed.value, packed.arrays)
    except (AttributeError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise ValueError(f"it holds {error!r}") from error


def _unpack(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return tuple(_unpack(own, arrays) for own in value)
    if not isinstance(value, dict):
        return value
    if set(value) == {"float"}:
        return NOT_FINITE[value["float"]]
    if set(value) == {"entries"}:
        return {name: _unpack(own, arrays) for name, own in value["entries"].items()}
    if set(value) == {"generator"}:
        generator = np.random.default_rng(0)
        generator.bit_generator.state = value["generator"]
        return generator
    if set(value) == {"array", "at", "shape", "by_columns"}:
        return _array(value, arrays)
    if set(value) == {"trace", "phases"}:
        return _trace(value, arrays)
    if set(value) == {"record", "fields"}:
        fields = {name: _unpack(own, arrays) for name, own in value["fields"].items()}
        return _record(RECORDS[value["record"]], fields)
    raise ValueError("it holds a value of no known kind")


def _array(value: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    source, at, shape = arrays[value["array"]], value["at"], value["shape"]
    size = math.prod(shape)
    if value["array"] not in KINDS or source.ndim != 1 or source.dtype.name != value["array"]:
        raise ValueError("its arrays are of no known kind")
    if not all(type(n) is int and n >= 0 for n in (at, *shape)) or at + size > len(source):
        raise ValueError("an array is longer than its numbers")
    numbers = source[at : at + size].copy()
    return numbers.reshape(shape[::-1]).T if value["by_columns"] else numbers.reshape(shape)


def _trace(value: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> tuple[TraceRow, ...]:
    columns = {name: _array(own, arrays).tolist() for name, own in value["trace"].items()}
    if set(columns) != set(TraceRow._fields) or len({len(own) for own in columns.values()}) > 1:
        raise ValueError("its trace has other columns")
    columns["phase"] = [value["phases"][place] for place in columns["phase"]]
    columns["gap"] = [None if math.isnan(gap) else gap for gap in columns["gap"]]
    return tuple(map(TraceRow, *(columns[name] for name in TraceRow._fields)))


def _record(record: type, fields: dict[str, Any]) -> Any:
    hints = get_type_hints(record)
    if set(fields) != set(hints):
        raise ValueError(f"{record.__name__} has other fields")
    for name, own in fields.items():
        if not _is(own, hints[name]):
            raise ValueError(f"{record.__name__}.{name} is of another type")
    made = record(**fields)
    if isinstance(made, Components):
        _check(made)
    if isinstance(made, Reduced):
        made.hierarchy.check(made.components)
        if made.clusters.shape != made.components.weights.shape or made.clusters.min() < 0:
            raise ValueError("its components have no cluster each")
    if isinstance(made, State):
        _check_alike(made)
    return made


def _check_alike(state: State) -> None:
    """Raise ValueError where components of one state are of different families or columns."""
    kept = state.carried.kept if isinstance(state.carried, Carried) else None
    climb = state.climb if isinstance(state.climb, Climb | Walk) else None
    found = [state.components, climb and climb.components]
    found += [kept and kept.components, kept and kept.hierarchy.relaxed]
    kinds = {tuple(shape and shape[1:] for shape in own.shapes) for own in found if own is not None}
    if len(kinds) > 1:
        raise ValueError("its components are of different kinds")


def _is(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that a field is declared with."""
    if hint is Any:
        return True
    if isinstance(hint, UnionType):
        return any(_is(value, one) for one in get_args(hint))
    if hint is MemoryRows:
        hint = NoneType
    kind = get_origin(hint) or hint
    if kind is tuple and get_args(hint):  # of any number of one type
        return isinstance(value, tuple) and all(_is(one, get_args(hint)[0]) for one in value)
    if kind is float:
        return type(value) in (float, int)
    return type(value) is kind if kind in (int, bool, str) else isinstance(value, kind)


def _check(components: Components) -> None:
    """Raise ValueError for parameters whose shapes do not belong together."""
    weights, means, covariances, dof = components[:4]
    if means.ndim != 2 or weights.shape != means.shape[:1]:
        raise ValueError("its components have no weight and mean each")
    m, sides = len(weights), set(covariances.shape[1:])
    if len(covariances) not in (1, m) or covariances.ndim > 3 or len(sides) > 1:
        raise ValueError("its components have no covariance each")
    if max(sides, default=0) > means.shape[1] or (dof is not None and dof.shape != (m,)):
        raise ValueError("its components are of too many columns")
    if not all(np.isfinite(own).all() for own in components if own is not None):
        raise ValueError("its components are not finite")
