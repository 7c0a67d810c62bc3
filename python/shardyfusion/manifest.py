"""Manifests, which describe a published run and its shards, and the results of a write."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = [
    "BuildDurations",
    "BuildResult",
    "BuildStats",
    "ManifestRef",
    "ParsedManifest",
    "RequiredBuildMeta",
    "RequiredShardMeta",
]


@dataclass(frozen=True, slots=True)
class ManifestRef:
    """A published manifest: its reference, its run, and when it was published (without a time zone: UTC)."""

    ref: str
    run_id: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class RequiredBuildMeta:
    """The description of the run in every manifest. `sharding` has at least `strategy` and `hash_algorithm`."""

    run_id: str
    created_at: str
    num_dbs: int
    s3_prefix: str
    key_col: str
    sharding: dict[str, Any]
    db_path_template: str
    shard_prefix: str
    format_version: int
    key_encoding: str


@dataclass(frozen=True, slots=True)
class RequiredShardMeta:
    """The description of one shard in a manifest. `db_url` is None if the shard has no rows."""

    db_id: int
    db_url: str | None
    attempt: int
    row_count: int
    db_bytes: int
    min_key: Any = None
    max_key: Any = None
    checkpoint_id: str | None = None
    writer_info: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ParsedManifest:
    """A manifest. `custom["vector"]` describes the vectors for the reader: `dim`, `metric` and routing."""

    required_build: RequiredBuildMeta
    shards: list[RequiredShardMeta]
    custom: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BuildDurations:
    """Duration of the phases of a write in milliseconds: training, shards, manifest, and total."""

    sharding_ms: int
    write_ms: int
    manifest_ms: int
    total_ms: int


@dataclass(frozen=True, slots=True)
class BuildStats:
    """Durations of a write, its number of shards that have rows (each is written once), and its number of rows."""

    durations: BuildDurations
    num_attempt_results: int
    num_winners: int
    rows_written: int


@dataclass(frozen=True, slots=True)
class BuildResult:
    """The snapshot that `write_sharded` made live: `winners` are the shards that have rows."""

    run_id: str
    winners: list[RequiredShardMeta]
    manifest_ref: str
    stats: BuildStats
    run_record_ref: str | None = None
