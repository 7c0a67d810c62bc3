"""Types that several modules share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from shardyfusion.s3 import S3ConnectionOptions

__all__ = [
    "BuildMeta",
    "JsonObject",
    "JsonScalar",
    "JsonValue",
    "KeyInput",
    "Manifest",
    "S3ConnectionOptions",
    "ShardSizeMeta",
]

JsonScalar: TypeAlias = None | bool | int | float | str
JsonValue: TypeAlias = "JsonScalar | list[JsonValue] | dict[str, JsonValue]"
JsonObject: TypeAlias = "dict[str, JsonValue]"
KeyInput: TypeAlias = int | str | bytes


class ShardSizeMeta(Protocol):
    """What factories may want to know of a shard: `shardyfusion.manifest.RequiredShardMeta` has it."""

    @property
    def db_url(self) -> str | None: ...

    @property
    def db_bytes(self) -> int: ...


class BuildMeta(Protocol):
    """What factories may want to know of a run: `shardyfusion.manifest.RequiredBuildMeta` has it."""

    @property
    def run_id(self) -> str: ...


class Manifest(Protocol):
    """What a reader's factories get as `manifest`: a `shardyfusion.manifest.ParsedManifest`."""

    @property
    def required_build(self) -> BuildMeta: ...

    @property
    def shards(self) -> Sequence[ShardSizeMeta]: ...
