"""Expressions of CEL that route rows to shards, and shardings made from them. The library's own CEL evaluates them: nothing needs
to be installed for it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from shardyfusion import _core
from shardyfusion._json import dump_context, dumps
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError, UnknownRoutingTokenError
from shardyfusion.sharding_types import CelShardingSpec, RoutingValue

__all__ = [
    "CEL_TYPE_MAP",
    "CelColumn",
    "CelType",
    "CompiledCel",
    "UnknownRoutingTokenError",
    "build_categorical_routing_lookup",
    "cel_sharding",
    "cel_sharding_by_columns",
    "compile_cel",
    "compile_cel_cached",
    "evaluate_cel_arrow_batch",
    "pandas_rows_to_contexts",
    "resolve_cel_routing_key",
    "route_cel",
    "route_cel_batch",
    "validate_cel_columns",
]


class CelType(StrEnum):
    """The type of a column in an expression."""

    INT = "int"
    STRING = "string"
    BYTES = "bytes"
    DOUBLE = "double"
    BOOL = "bool"
    UINT = "uint"


CEL_TYPE_MAP: dict[str, str] = {kind.value: kind.name for kind in CelType}
"""The names of the types in configurations, and those of CEL's own."""

_HASHED_AS_THEY_ARE = (CelType.INT, CelType.UINT, CelType.STRING, CelType.BYTES)


@dataclass(frozen=True, slots=True)
class CelColumn:
    """A column of `cel_sharding_by_columns`."""

    name: str
    type: CelType = CelType.STRING


class CompiledCel:
    """A compiled expression. `compile_cel` makes it; threads may share it."""

    def __init__(self, env: Any, expr: Any, columns: Mapping[str, str]) -> None:
        """`expr` is the extension's compiled expression; `env` is not used, and stands where the first library has its own."""
        self._expression: _core.Expression = expr
        self._columns = MappingProxyType(dict(columns))
        self._names = tuple(self._columns)

    @property
    def columns(self) -> Mapping[str, str]:
        """The type of each column."""
        return self._columns

    @property
    def columns_list(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._names

    def evaluate(self, context: Mapping[str, Any]) -> RoutingValue:
        """Returns the expression's value for the columns of a row, by name."""
        value: RoutingValue | dict[str, str] = json.loads(self._expression.evaluate(dump_context(context)))
        return bytes.fromhex(value["__bytes_hex__"]) if isinstance(value, dict) else value


def _check_type(name: str, kind: Any) -> str:
    if kind not in CEL_TYPE_MAP:
        raise ConfigValidationError(f"CEL column {name}: expected {', '.join(CEL_TYPE_MAP)}, found {describe(kind)}")
    return str(CelType(kind).value)


def compile_cel(expr: str, columns: Mapping[str, str]) -> CompiledCel:
    """Compiles an expression over columns: `{"name": "int"}`. Raises `ConfigValidationError` with the position of what is wrong."""
    types = {name: _check_type(name, kind) for name, kind in columns.items()}
    return CompiledCel(None, _core.Expression(expr, dumps(types)), types)


@functools.lru_cache(maxsize=64)
def compile_cel_cached(expr: str, columns_key: tuple[tuple[str, str], ...]) -> CompiledCel:
    """Returns the compiled expression, which is kept for later calls. `columns_key` has the items of `columns`."""
    return compile_cel(expr, dict(columns_key))


def evaluate_cel_arrow_batch(compiled: CompiledCel, batch: Any) -> list[RoutingValue]:
    """Returns the expression's value for each row of a record batch or table of pyarrow."""
    return [compiled.evaluate(row) for row in batch.select(list(compiled.columns_list)).to_pylist()]


def build_categorical_routing_lookup(routing_values: Sequence[RoutingValue]) -> dict[RoutingValue, int]:
    """Returns the shard of each value: its place."""
    return {value: shard_id for shard_id, value in enumerate(routing_values)}


def resolve_cel_routing_key(
    routing_key: RoutingValue,
    *,
    routing_values: Sequence[RoutingValue] | None = None,
    lookup: Mapping[RoutingValue, int] | None = None,
) -> int:
    """Returns the shard that an expression's value names: by its place in `routing_values` (of which `lookup` has the places), or
    by number."""
    if routing_values is None:
        return int(routing_key)
    places = build_categorical_routing_lookup(routing_values) if lookup is None else lookup
    if routing_key not in places:
        raise UnknownRoutingTokenError(
            f"cel_expr: expected one of {len(places)} routing_values, found {describe(routing_key)}"
        )
    return places[routing_key]


def route_cel(
    compiled: CompiledCel,
    context: Mapping[str, Any],
    routing_values: Sequence[RoutingValue] | None = None,
    lookup: Mapping[RoutingValue, int] | None = None,
) -> int:
    """Returns the shard of a row."""
    return resolve_cel_routing_key(compiled.evaluate(context), routing_values=routing_values, lookup=lookup)


def route_cel_batch(
    compiled: CompiledCel, batch: Any, routing_values: Sequence[RoutingValue] | None = None
) -> list[int]:
    """Returns the shard of each row of a record batch or table of pyarrow."""
    lookup = None if routing_values is None else build_categorical_routing_lookup(routing_values)
    return [
        resolve_cel_routing_key(value, routing_values=routing_values, lookup=lookup)
        for value in evaluate_cel_arrow_batch(compiled, batch)
    ]


def cel_sharding(
    expr: str, columns: Mapping[str, str | CelType], *, routing_values: Sequence[RoutingValue] | None = None
) -> CelShardingSpec:
    """Returns the sharding by an expression over columns."""
    if not columns:
        raise ConfigValidationError("cel_sharding: expected at least one column, found none")
    types = {name: _check_type(name, kind) for name, kind in columns.items()}
    values = None if routing_values is None else list(routing_values)
    return CelShardingSpec(cel_expr=expr, cel_columns=types, routing_values=values)


def _as_column(column: Any) -> CelColumn:
    if isinstance(column, str):
        return CelColumn(column)
    if not isinstance(column, CelColumn):
        raise ConfigValidationError(f"cel_sharding_by_columns: expected a name or a CelColumn, found {describe(column)}")
    return column


def _joined(columns: Iterable[CelColumn], separator: str) -> str:
    texts = [column.name if column.type == CelType.STRING else f"string({column.name})" for column in columns]
    return f" + {json.dumps(separator)} + ".join(texts)


def cel_sharding_by_columns(
    *columns: str | CelColumn, num_shards: int | None = None, separator: str = ":"
) -> CelShardingSpec:
    """Returns the sharding by the values of columns: rows with equal values are in one shard.

    With `num_shards`, the values are hashed. Without it, there is one shard for each value that occurs. The values of several
    columns are joined by `separator`.
    """
    given = [_as_column(column) for column in columns]
    if not given:
        raise ConfigValidationError("cel_sharding_by_columns: expected at least one column, found none")
    if num_shards is not None and num_shards < 1:
        raise ConfigValidationError(f"num_shards: expected at least 1, found {num_shards}")
    is_plain = len(given) == 1 and given[0].type in _HASHED_AS_THEY_ARE
    value = given[0].name if is_plain else _joined(given, separator)
    types = {column.name: column.type.value for column in given}
    if num_shards is None:
        return CelShardingSpec(cel_expr=value, cel_columns=types, infer_routing_values_from_data=True)
    return cel_sharding(f"shard_hash({value}) % {num_shards}u", types)


def pandas_rows_to_contexts(pdf: Any, cel_columns: Mapping[str, str]) -> list[dict[str, Any]]:
    """Returns the columns of each row of a pandas frame as a dict, in the order of the rows, with NumPy scalars as numbers."""
    names = list(cel_columns)
    columns = [pdf[name].tolist() for name in names]
    return [dict(zip(names, row)) for row in zip(*columns)]


_ARROW_TYPES = {
    CelType.INT: ("int8", "int16", "int32", "int64"),
    CelType.UINT: ("uint8", "uint16", "uint32", "uint64"),
    CelType.DOUBLE: ("halffloat", "float", "double"),
    CelType.STRING: ("string", "large_string"),
    CelType.BYTES: ("binary", "large_binary"),
    CelType.BOOL: ("bool",),
}


def validate_cel_columns(arrow_schema: Any, cel_columns: Mapping[str, str]) -> None:
    """Raises `ConfigValidationError` unless a schema of pyarrow has the columns, each of a type that fits."""
    for name, kind in cel_columns.items():
        if name not in arrow_schema.names:
            raise ConfigValidationError(f"CEL column {name}: expected one of {arrow_schema.names}, found none of that name")
        found = str(arrow_schema.field(name).type)
        expected = _ARROW_TYPES[CelType(_check_type(name, kind))]
        if found not in expected:
            raise ConfigValidationError(f"CEL column {name}: expected {kind} as {', '.join(expected)}, found {found}")
