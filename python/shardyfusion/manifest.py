"""Manifests: which shards a published run has, and what else there is to know of it."""

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
    """A published manifest: the reference that it is loaded by, its run, and when it was published (no zone: UTC)."""

    ref: str
    run_id: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class RequiredBuildMeta:
    """What every manifest says of its run. `sharding` has at least `strategy` and `hash_algorithm`."""

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
    """What a manifest says of one shard. `db_url` is None where the shard has no rows."""

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
    """A manifest. `custom["vector"]` holds what the reader needs of the vectors: `dim`, `metric`, routing."""

    required_build: RequiredBuildMeta
    shards: list[RequiredShardMeta]
    custom: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BuildDurations:
    """How long the phases of a write took, in milliseconds: training, shards, manifest, all of it."""

    sharding_ms: int
    write_ms: int
    manifest_ms: int
    total_ms: int


@dataclass(frozen=True, slots=True)
class BuildStats:
    """What was written: shards that have rows (each was written once), and rows."""

    durations: BuildDurations
    num_attempt_results: int
    num_winners: int
    rows_written: int


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What `write_sharded` made live: `winners` are the shards that have rows."""

    run_id: str
    winners: list[RequiredShardMeta]
    manifest_ref: str
    stats: BuildStats
    run_record_ref: str | None = None
