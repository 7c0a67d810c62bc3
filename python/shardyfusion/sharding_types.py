"""How keys are sharded, as a manifest describes it. Vectors have a sharding of their own (`shardyfusion.vector.config`); that of
keys is in every manifest, and is what `shardyfusion.cel.cel_sharding` returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self, TypeAlias

from shardyfusion._text import describe

__all__ = [
    "DB_ID_COL",
    "CelShardingSpec",
    "HashShardingSpec",
    "KeyEncoding",
    "RoutingValue",
    "ShardHashAlgorithm",
    "ShardingSpec",
    "ShardingStrategy",
    "VECTOR_DB_ID_COL",
    "validate_routing_values",
]

DB_ID_COL = "_shard_id"
VECTOR_DB_ID_COL = "_vector_db_id"

RoutingValue: TypeAlias = int | str | bytes
"""A value of a routing expression that names a shard by its place in `routing_values`."""


class _Named(StrEnum):
    @classmethod
    def from_value(cls, value: str) -> Self:
        """Returns the member with this value. Raises `ValueError`, which names the members."""
        try:
            return cls(value)
        except ValueError:
            raise ValueError(f"{cls.__name__}: expected {', '.join(cls)}, found {describe(value)}") from None


class KeyEncoding(_Named):
    """How keys are stored."""

    U64BE = "u64be"
    U32BE = "u32be"
    UTF8 = "utf8"
    RAW = "raw"


class ShardingStrategy(_Named):
    """How keys are distributed over shards."""

    HASH = "hash"
    CEL = "cel"


class ShardHashAlgorithm(_Named):
    """The hash of keys."""

    XXH3_64 = "xxh3_64"


def validate_routing_values(routing_values: Sequence[RoutingValue], *, require_unique: bool = True) -> None:
    """Raises `ValueError` unless the values are integers, strings or bytes, all of one type, and each is there once."""
    seen: set[RoutingValue] = set()
    for position, value in enumerate(routing_values):
        if isinstance(value, bool) or not isinstance(value, (int, str, bytes)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"routing values: expected int, str or bytes, found {describe(value)} at position {position}")
        if type(value) is not type(routing_values[0]):
            expected = type(routing_values[0]).__name__
            raise ValueError(f"routing values: expected {expected} throughout, found {describe(value)} at position {position}")
        if require_unique and value in seen:
            raise ValueError(f"routing values: expected each once, found {describe(value)} again at position {position}")
        seen.add(value)


@dataclass(slots=True)
class ShardingSpec:
    """A sharding of keys."""

    def to_manifest_dict(self) -> dict[str, object]:
        """Returns the sharding as a manifest has it."""
        raise NotImplementedError


@dataclass(slots=True)
class HashShardingSpec(ShardingSpec):
    """Keys go to the shard that their hash names."""

    hash_algorithm: ShardHashAlgorithm = ShardHashAlgorithm.XXH3_64
    max_keys_per_shard: int | None = None

    def __post_init__(self) -> None:
        self.hash_algorithm = ShardHashAlgorithm.from_value(self.hash_algorithm)
        if self.max_keys_per_shard is not None and self.max_keys_per_shard <= 0:
            raise ValueError(f"max_keys_per_shard: expected at least 1, found {self.max_keys_per_shard}")

    def to_manifest_dict(self) -> dict[str, object]:
        return {"strategy": ShardingStrategy.HASH.value, "hash_algorithm": self.hash_algorithm.value}


@dataclass(slots=True)
class CelShardingSpec(ShardingSpec):
    """Rows go to the shard that a CEL expression over columns names: by number, or by its place in `routing_values`."""

    cel_expr: str = ""
    cel_columns: dict[str, str] = field(default_factory=dict[str, str])
    routing_values: list[RoutingValue] | None = None
    infer_routing_values_from_data: bool = False

    def __post_init__(self) -> None:
        if not self.cel_expr or not self.cel_columns:
            raise ValueError("CEL sharding: expected cel_expr and cel_columns")
        if self.routing_values is not None:
            if self.infer_routing_values_from_data:
                raise ValueError("CEL sharding: expected routing_values or infer_routing_values_from_data, found both")
            validate_routing_values(self.routing_values)

    def to_manifest_dict(self) -> dict[str, object]:
        described: dict[str, object] = {
            "strategy": ShardingStrategy.CEL.value,
            "hash_algorithm": ShardHashAlgorithm.XXH3_64.value,
            "cel_expr": self.cel_expr,
            "cel_columns": dict(self.cel_columns),
        }
        if self.routing_values is not None:
            described["routing_values"] = self.routing_values
        return described
