"""Manifests, which describe a published run and its shards, and the results of a write."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from shardyfusion import _model
from shardyfusion._json import dumps
from shardyfusion._lazy import sqlite3
from shardyfusion._model import Model
from shardyfusion._text import describe
from shardyfusion.sharding_types import (
    KeyEncoding,
    RoutingValue,
    ShardHashAlgorithm,
    ShardingStrategy,
    validate_routing_values,
)
from shardyfusion.type_defs import JsonObject, JsonValue

__all__ = [
    "BuildDurations",
    "BuildResult",
    "BuildStats",
    "CurrentPointer",
    "ManifestArtifact",
    "ManifestRef",
    "ManifestShardingSpec",
    "ParsedManifest",
    "RequiredBuildMeta",
    "RequiredShardMeta",
    "SQLITE_MANIFEST_CONTENT_TYPE",
    "SqliteManifestBuilder",
    "WriterInfo",
]

SQLITE_MANIFEST_CONTENT_TYPE = "application/x-sqlite3"


@dataclass(frozen=True, slots=True)
class ManifestRef:
    """A published manifest: its reference, its run, and when it was published (without a time zone: UTC)."""

    ref: str
    run_id: str
    published_at: datetime


@dataclass(slots=True)
class ManifestShardingSpec(Model):
    """How keys are sharded. Snapshots of vectors have "hash" here; their own sharding is in `custom["vector"]`."""

    strategy: ShardingStrategy = ShardingStrategy.HASH
    routing_values: list[RoutingValue] | None = None
    cel_expr: str | None = None
    cel_columns: dict[str, str] | None = None
    hash_algorithm: ShardHashAlgorithm = ShardHashAlgorithm.XXH3_64

    def __post_init__(self) -> None:
        what = "sharding"
        self.strategy = _model.to_member(ShardingStrategy, what, "strategy", self.strategy)
        self.hash_algorithm = _model.to_member(ShardHashAlgorithm, what, "hash_algorithm", self.hash_algorithm)
        if self.strategy == ShardingStrategy.CEL and not (self.cel_expr and self.cel_columns):
            raise ValueError("sharding: cel: expected cel_expr and cel_columns")
        if self.routing_values is not None:
            validate_routing_values(self.routing_values)
        if self.strategy == ShardingStrategy.HASH and (self.cel_expr or self.cel_columns or self.routing_values):
            raise ValueError("sharding: hash: expected no cel_expr, cel_columns or routing_values")


@dataclass(slots=True)
class RequiredBuildMeta(Model):
    """The description of the run in every manifest. `created_at` may be given as ISO 8601, `sharding` as a mapping."""

    run_id: str
    created_at: datetime
    num_dbs: int
    s3_prefix: str
    key_col: str
    sharding: ManifestShardingSpec
    db_path_template: str
    shard_prefix: str
    format_version: int = 4
    key_encoding: KeyEncoding = KeyEncoding.U64BE

    def __post_init__(self) -> None:
        what = "manifest"
        for name in ("run_id", "s3_prefix", "key_col", "db_path_template", "shard_prefix"):
            _model.check_text(what, name, getattr(self, name))
        self.created_at = _model.to_time(what, "created_at", self.created_at)
        _model.check_count(what, "num_dbs", self.num_dbs, 1)
        _model.check_count(what, "format_version", self.format_version)
        self.sharding = _model.to_model(ManifestShardingSpec, self.sharding)
        self.key_encoding = _model.to_member(KeyEncoding, what, "key_encoding", self.key_encoding)


@dataclass(frozen=True, slots=True)
class WriterInfo:
    """The task that wrote a shard, where an engine wrote it."""

    stage_id: int | None = None
    task_attempt_id: int | None = None
    attempt: int = 0
    duration_ms: int = 0


def _writer_info(given: Any) -> WriterInfo:
    if isinstance(given, WriterInfo):
        return given
    if not isinstance(given, Mapping):
        raise ValueError(f"shard: writer_info: expected a mapping, found {describe(given)}")
    names = ("stage_id", "task_attempt_id", "attempt", "duration_ms")
    known: dict[str, Any] = {name: given[name] for name in names if name in given}
    return WriterInfo(**known)


@dataclass(slots=True)
class RequiredShardMeta(Model):
    """The description of one shard in a manifest. `db_url` is None if the shard has no rows. `checkpoint_id` names the shard's
    content: a reader's cache is valid as long as it is the same."""

    db_id: int
    db_url: str | None = None
    attempt: int = 0
    row_count: int = 0
    db_bytes: int = 0
    min_key: int | str | bytes | None = None
    max_key: int | str | bytes | None = None
    checkpoint_id: str | None = None
    writer_info: WriterInfo = field(default_factory=WriterInfo)

    def __post_init__(self) -> None:
        for name in ("db_id", "attempt", "row_count", "db_bytes"):
            _model.check_count("shard", name, getattr(self, name))
        for name in ("db_url", "checkpoint_id"):
            if getattr(self, name) is not None:
                _model.check_text("shard", name, getattr(self, name))
        self.writer_info = _writer_info(self.writer_info)


@dataclass(slots=True)
class ParsedManifest(Model):
    """A manifest. `custom["vector"]` describes the vectors for the reader: `dim`, `metric` and routing."""

    required_build: RequiredBuildMeta
    shards: list[RequiredShardMeta]
    custom: dict[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        self.required_build = _model.to_model(RequiredBuildMeta, self.required_build)
        self.shards = [_model.to_model(RequiredShardMeta, shard) for shard in self.shards]

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """As that of the base class; `required` is another name of `required_build`."""
        if isinstance(data, Mapping) and "required" in data and "required_build" not in data:
            named: dict[str, Any] = dict(data)  # pyright: ignore[reportUnknownArgumentType]
            named["required_build"] = named["required"]
            return super(ParsedManifest, cls).model_validate(named)
        return super(ParsedManifest, cls).model_validate(data)


@dataclass(slots=True)
class ManifestArtifact:
    """A manifest as it is stored."""

    payload: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class CurrentPointer(Model):
    """The content of `_CURRENT`, which points to the live manifest."""

    manifest_ref: str
    manifest_content_type: str
    run_id: str
    updated_at: datetime
    format_version: int = 1

    def __post_init__(self) -> None:
        for name in ("manifest_ref", "manifest_content_type", "run_id"):
            _model.check_text("_CURRENT", name, getattr(self, name))
        self.updated_at = _model.to_time("_CURRENT", "updated_at", self.updated_at)


@dataclass(slots=True)
class BuildDurations:
    """Duration of the phases of a write in milliseconds: training, shards, manifest, and total."""

    sharding_ms: int
    write_ms: int
    manifest_ms: int
    total_ms: int


@dataclass(slots=True)
class BuildStats:
    """Durations of a write, its number of shards that have rows (each is written once), and its number of rows."""

    durations: BuildDurations
    num_attempt_results: int
    num_winners: int
    rows_written: int


@dataclass(slots=True)
class BuildResult:
    """The snapshot that `write_sharded` made live: `winners` are the shards that have rows, `run_record_ref` names the record
    of the run."""

    run_id: str
    winners: list[RequiredShardMeta]
    manifest_ref: str
    stats: BuildStats
    run_record_ref: str | None = None


# ------------------------------------------------------------------------------------------------------- Serialization

SCHEMA = """
CREATE TABLE build_meta (
    run_id TEXT NOT NULL, created_at TEXT NOT NULL, num_dbs INTEGER NOT NULL, s3_prefix TEXT NOT NULL,
    key_col TEXT NOT NULL, sharding TEXT NOT NULL, db_path_template TEXT NOT NULL, shard_prefix TEXT NOT NULL,
    format_version INTEGER NOT NULL, key_encoding TEXT NOT NULL, custom TEXT NOT NULL DEFAULT '{}');
CREATE TABLE shards (
    db_id INTEGER NOT NULL PRIMARY KEY, db_url TEXT, attempt INTEGER NOT NULL, row_count INTEGER NOT NULL,
    db_bytes INTEGER NOT NULL, min_key TEXT, max_key TEXT, checkpoint_id TEXT,
    writer_info TEXT NOT NULL DEFAULT '{}');
"""
BUILD_COLUMNS = (
    "run_id, created_at, num_dbs, s3_prefix, key_col, sharding, db_path_template, shard_prefix, format_version, "
    "key_encoding, custom"
)
SHARD_COLUMNS = "db_id, db_url, attempt, row_count, db_bytes, min_key, max_key, checkpoint_id, writer_info"


class SqliteManifestBuilder:
    """Serializes manifests as the format stores them: SQLite databases of format version 4."""

    def __init__(self) -> None:
        self._custom_fields: dict[str, Any] = {}

    def add_custom_field(self, key: str, value: JsonValue) -> None:
        """Adds a member to `custom` of the manifests that are built from now on. Those of `build` replace it."""
        self._custom_fields[key] = value

    def build(
        self, *, required_build: RequiredBuildMeta, shards: list[RequiredShardMeta], custom_fields: JsonObject
    ) -> ManifestArtifact:
        """Returns the manifest. Its bytes are those that `parse_manifest_payload` parses."""
        custom = dumps(self._custom_fields | dict(custom_fields))
        build = required_build.model_dump(mode="json")
        build["sharding"] = dumps(build["sharding"])
        with closing(sqlite3.connect(":memory:")) as database:
            database.executescript(SCHEMA)
            _insert(database, "build_meta", BUILD_COLUMNS, (*build.values(), custom))
            for shard in shards:
                row = shard.model_dump(mode="json")
                for name in ("min_key", "max_key"):
                    row[name] = None if row[name] is None else dumps(row[name])
                row["writer_info"] = dumps(row["writer_info"])
                _insert(database, "shards", SHARD_COLUMNS, tuple(row.values()))
            database.commit()
            return ManifestArtifact(database.serialize(), SQLITE_MANIFEST_CONTENT_TYPE)


def _insert(database: sqlite3.Connection, table: str, columns: str, values: tuple[Any, ...]) -> None:
    places = ", ".join("?" * len(values))
    database.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", values)
