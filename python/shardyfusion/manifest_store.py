"""Parsing and serializing manifests."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from shardyfusion import _core
from shardyfusion._lazy import json, sqlite3
from shardyfusion.errors import ManifestParseError
from shardyfusion.manifest import ParsedManifest, RequiredBuildMeta, RequiredShardMeta

__all__ = ["manifest_payload", "parse_manifest_payload"]

_SCHEMA = """
CREATE TABLE build_meta (
    run_id TEXT NOT NULL, created_at TEXT NOT NULL, num_dbs INTEGER NOT NULL, s3_prefix TEXT NOT NULL,
    key_col TEXT NOT NULL, sharding TEXT NOT NULL, db_path_template TEXT NOT NULL, shard_prefix TEXT NOT NULL,
    format_version INTEGER NOT NULL, key_encoding TEXT NOT NULL, custom TEXT NOT NULL DEFAULT '{}');
CREATE TABLE shards (
    db_id INTEGER NOT NULL PRIMARY KEY, db_url TEXT, attempt INTEGER NOT NULL, row_count INTEGER NOT NULL,
    db_bytes INTEGER NOT NULL, min_key TEXT, max_key TEXT, checkpoint_id TEXT,
    writer_info TEXT NOT NULL DEFAULT '{}');
"""
_BUILD_COLUMNS = (
    "run_id, created_at, num_dbs, s3_prefix, key_col, sharding, db_path_template, shard_prefix, format_version, "
    "key_encoding, custom"
)
_SHARD_COLUMNS = "db_id, db_url, attempt, row_count, db_bytes, min_key, max_key, checkpoint_id, writer_info"


def parse_manifest_payload(payload: bytes) -> ParsedManifest:
    """Parses `payload`, a SQLite database of format version 4. Raises `ManifestParseError`."""
    _core.check_manifest(payload, "manifest")
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(payload)
            return _read(database)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise ManifestParseError(f"manifest: {error}") from error


def _read(database: sqlite3.Connection) -> ParsedManifest:
    *build, custom = database.execute(f"SELECT {_BUILD_COLUMNS} FROM build_meta").fetchone()
    build[5] = json.loads(build[5])
    shards: list[RequiredShardMeta] = []
    for row in database.execute(f"SELECT {_SHARD_COLUMNS} FROM shards ORDER BY db_id"):
        db_id, db_url, attempt, row_count, db_bytes, *keys, checkpoint_id, writer_info = row
        min_key, max_key = (None if key is None else json.loads(key) for key in keys)
        writer = json.loads(writer_info)
        shards.append(
            RequiredShardMeta(db_id, db_url, attempt, row_count, db_bytes, min_key, max_key, checkpoint_id, writer)
        )
    return ParsedManifest(RequiredBuildMeta(*build), shards, json.loads(custom))


def manifest_payload(manifest: ParsedManifest) -> bytes:
    """Serializes a manifest to the bytes that `parse_manifest_payload` parses."""
    build = manifest.required_build
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_SCHEMA)
        _insert(
            database,
            "build_meta",
            _BUILD_COLUMNS,
            (
                build.run_id,
                build.created_at,
                build.num_dbs,
                build.s3_prefix,
                build.key_col,
                json.dumps(build.sharding),
                build.db_path_template,
                build.shard_prefix,
                build.format_version,
                build.key_encoding,
                json.dumps(manifest.custom),
            ),
        )
        for shard in manifest.shards:
            keys = [None if key is None else json.dumps(key) for key in (shard.min_key, shard.max_key)]
            plain = (shard.db_id, shard.db_url, shard.attempt, shard.row_count, shard.db_bytes)
            values = (*plain, *keys, shard.checkpoint_id, json.dumps(shard.writer_info))
            _insert(database, "shards", _SHARD_COLUMNS, values)
        database.commit()
        return database.serialize()


def _insert(database: sqlite3.Connection, table: str, columns: str, values: tuple[Any, ...]) -> None:
    places = ", ".join("?" * len(values))
    database.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", values)
