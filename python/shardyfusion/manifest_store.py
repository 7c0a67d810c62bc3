"""Manifests as they are stored: parsing and serializing them, and stores of published ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import fields
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from shardyfusion import _core
from shardyfusion._lazy import json, sqlite3
from shardyfusion._text import describe
from shardyfusion.errors import ManifestParseError, PublishCurrentError, PublishManifestError
from shardyfusion.manifest import (
    BUILD_COLUMNS,
    SHARD_COLUMNS,
    SQLITE_MANIFEST_CONTENT_TYPE,
    CurrentPointer,
    ManifestRef,
    ManifestShardingSpec,
    ParsedManifest,
    RequiredBuildMeta,
    RequiredShardMeta,
    SqliteManifestBuilder,
)

if TYPE_CHECKING:
    from shardyfusion.storage import StorageBackend

__all__ = [
    "InMemoryManifestStore",
    "MANIFEST_PREFIX_RE",
    "MANIFEST_TIMESTAMP_FMT",
    "ManifestStore",
    "S3ManifestStore",
    "load_sqlite_build_meta",
    "manifest_payload",
    "parse_current_pointer_to_ref",
    "parse_manifest_dir_entry",
    "parse_manifest_payload",
    "parse_sqlite_manifest",
]

MANIFEST_TIMESTAMP_FMT = "%Y-%m-%dT%H:%M:%S.%fZ"
MANIFEST_PREFIX_RE = re.compile(
    r"^(?P<timestamp>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z)_run_id=(?P<run_id>[^/]+)/?$"
)
"""The name of a manifest's folder below `manifests/`."""


class ManifestStore(Protocol):
    """A store of published manifests, one of which is the current one.

    A reader needs `load_current`, `load_manifest` and `list_manifests`; a write needs `publish`. A manifest may be returned as its
    bytes, too.
    """

    def publish(
        self,
        *,
        run_id: str,
        required_build: RequiredBuildMeta,
        shards: list[RequiredShardMeta],
        custom: dict[str, Any],
    ) -> str:
        """Stores a manifest, makes it the current one, and returns its reference."""
        ...

    def load_current(self) -> ManifestRef | None:
        """Returns the current manifest, or None if nothing is published."""
        ...

    def load_manifest(self, ref: str) -> ParsedManifest:
        """Returns the manifest with that reference."""
        ...

    def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        """Returns published manifests, newest first."""
        ...

    def set_current(self, ref: str) -> None:
        """Makes a published manifest the current one."""
        ...


# ------------------------------------------------------------------------------------------------------------- Parsing


def parse_manifest_payload(payload: bytes) -> ParsedManifest:
    """Parses `payload`, a SQLite database of format version 4. Raises `ManifestParseError`."""
    _core.check_manifest(payload, "manifest")
    return parse_sqlite_manifest(payload)


def parse_sqlite_manifest(payload: bytes) -> ParsedManifest:
    """As `parse_manifest_payload`, also for manifests without vectors."""
    try:
        with closing(sqlite3.connect(":memory:")) as database:
            database.deserialize(payload)
            build, custom = _read_build(database)
            shards = _read_shards(database)
            _check_shards(build, shards)
            return ParsedManifest(build, shards, custom)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise ManifestParseError(f"manifest: {error}") from error


def load_sqlite_build_meta(con: sqlite3.Connection) -> tuple[RequiredBuildMeta, dict[str, Any]]:
    """Reads the description of the run, and `custom`, from an open manifest. Raises `ManifestParseError`."""
    try:
        return _read_build(con)
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise ManifestParseError(f"manifest: {error}") from error


def _read_build(database: sqlite3.Connection) -> tuple[RequiredBuildMeta, dict[str, Any]]:
    row = database.execute(f"SELECT {BUILD_COLUMNS} FROM build_meta").fetchone()
    if row is None:
        raise ValueError("expected a row in build_meta, found none")
    *build, custom = row
    build[5] = _read_sharding(json.loads(build[5]))
    meta = RequiredBuildMeta(*build)
    if meta.format_version != 4:
        raise ValueError(f"expected format_version 4, found {meta.format_version}")
    return meta, json.loads(custom) if custom else {}


def _read_sharding(given: Any) -> ManifestShardingSpec:
    names = [each.name for each in fields(ManifestShardingSpec)]
    if not isinstance(given, dict) or "hash_algorithm" not in given:
        raise ValueError(f"sharding: expected hash_algorithm, found {describe(given)}")
    unknown = [name for name in given if name not in names]  # pyright: ignore[reportUnknownVariableType]
    if unknown:
        raise ValueError(f"sharding: expected {', '.join(names)}, found {describe(unknown)}")
    return ManifestShardingSpec.model_validate(given)


def _read_shards(database: sqlite3.Connection) -> list[RequiredShardMeta]:
    shards: list[RequiredShardMeta] = []
    for row in database.execute(f"SELECT {SHARD_COLUMNS} FROM shards ORDER BY db_id"):
        db_id, db_url, attempt, row_count, db_bytes, *keys, checkpoint_id, writer_info = row
        min_key, max_key = (None if key is None else json.loads(key) for key in keys)
        writer = json.loads(writer_info)
        shards.append(
            RequiredShardMeta(db_id, db_url, attempt, row_count, db_bytes, min_key, max_key, checkpoint_id, writer)
        )
    return shards


def _check_shards(build: RequiredBuildMeta, shards: list[RequiredShardMeta]) -> None:
    """Raises `ValueError` unless each is one of the run's shards."""
    for shard in shards:
        if shard.db_id >= build.num_dbs:
            raise ValueError(f"expected shards from 0 to {build.num_dbs - 1}, found {shard.db_id}")
    values = build.sharding.routing_values
    if values is not None and max(1, len(values)) != build.num_dbs:
        raise ValueError(f"expected {build.num_dbs} routing_values, as many as num_dbs, found {len(values)}")


def manifest_payload(manifest: ParsedManifest) -> bytes:
    """Serializes a manifest to the bytes that `parse_manifest_payload` parses."""
    builder = SqliteManifestBuilder()
    build = manifest.required_build
    return builder.build(required_build=build, shards=manifest.shards, custom_fields=manifest.custom).payload


def parse_current_pointer_to_ref(payload: bytes) -> ManifestRef:
    """Parses the content of `_CURRENT`. Raises `ManifestParseError`."""
    try:
        pointer = CurrentPointer.model_validate_json(payload)
    except (ValueError, TypeError) as error:
        raise ManifestParseError(f"_CURRENT: {error}") from error
    return ManifestRef(pointer.manifest_ref, pointer.run_id, pointer.updated_at)


def parse_manifest_dir_entry(dir_name: str, s3_prefix: str, manifest_name: str) -> ManifestRef | None:
    """Returns the manifest of a folder below `manifests/`; None for a folder of another name."""
    match = MANIFEST_PREFIX_RE.match(dir_name)
    if match is None:
        return None
    try:
        published_at = datetime.strptime(match["timestamp"], MANIFEST_TIMESTAMP_FMT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    ref = f"{s3_prefix.rstrip('/')}/manifests/{dir_name.rstrip('/')}/{manifest_name}"
    return ManifestRef(ref, match["run_id"], published_at)


# --------------------------------------------------------------------------------------------------------------- Stores


class S3ManifestStore:
    """The manifests below `s3_prefix`, as the library itself keeps them: for programs that publish or choose them.

    A manifest is stored first, then `_CURRENT` is pointed to it.
    """

    def __init__(
        self,
        backend: StorageBackend,
        s3_prefix: str,
        *,
        manifest_name: str = "manifest",
        current_pointer_key: str = "_CURRENT",
    ) -> None:
        self._backend = backend
        self.s3_prefix = s3_prefix.rstrip("/")
        self.manifest_name = manifest_name
        self.current_pointer_key = current_pointer_key

    def publish(
        self,
        *,
        run_id: str,
        required_build: RequiredBuildMeta,
        shards: list[RequiredShardMeta],
        custom: dict[str, Any],
    ) -> str:
        """Stores a manifest and makes it the live one. Raises `PublishManifestError` if it can't be stored, `PublishCurrentError`
        if only `_CURRENT` can't."""
        builder = SqliteManifestBuilder()
        artifact = builder.build(required_build=required_build, shards=shards, custom_fields=custom)
        now = datetime.now(timezone.utc).strftime(MANIFEST_TIMESTAMP_FMT)
        ref = f"{self.s3_prefix}/manifests/{now}_run_id={run_id}/{self.manifest_name}"
        try:
            self._backend.put(ref, artifact.payload, artifact.content_type, artifact.headers)
        except Exception as error:
            raise PublishManifestError(f"{ref}: {error}") from error
        try:
            self._point_to(ref, run_id, artifact.content_type)
        except Exception as error:
            raise PublishCurrentError(f"{ref} is published, but not live: {error}", manifest_ref=ref) from error
        return ref

    def load_current(self) -> ManifestRef | None:
        payload = self._backend.try_get(f"{self.s3_prefix}/{self.current_pointer_key}")
        return None if payload is None else parse_current_pointer_to_ref(payload)

    def load_manifest(self, ref: str) -> ParsedManifest:
        return parse_sqlite_manifest(self._backend.get(ref))

    def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        folder = f"{self.s3_prefix}/manifests/"
        names = (url[len(folder) :] for url in self._backend.list_prefixes(folder))
        found = (parse_manifest_dir_entry(name, self.s3_prefix, self.manifest_name) for name in names)
        refs = [ref for ref in found if ref is not None]
        return sorted(refs, key=lambda ref: ref.published_at, reverse=True)[: max(0, limit)]

    def set_current(self, ref: str, *, content_type: str = SQLITE_MANIFEST_CONTENT_TYPE) -> None:
        """Makes a published manifest the live one."""
        match = re.search(r"run_id=([^/]+)", ref)
        if match is None:
            raise ValueError(f"manifest reference: expected run_id=… in it, found {describe(ref)}")
        self._point_to(ref, match[1], content_type)

    def _point_to(self, ref: str, run_id: str, content_type: str) -> None:
        pointer = CurrentPointer(ref, content_type, run_id, datetime.now(timezone.utc))
        payload = pointer.model_dump_json().encode()
        self._backend.put(f"{self.s3_prefix}/{self.current_pointer_key}", payload, "application/json")


class InMemoryManifestStore:
    """Manifests in this process."""

    def __init__(self) -> None:
        self._manifests: dict[str, ParsedManifest] = {}
        self._refs: list[ManifestRef] = []
        self._current: str | None = None

    def publish(
        self,
        *,
        run_id: str,
        required_build: RequiredBuildMeta,
        shards: list[RequiredShardMeta],
        custom: Mapping[str, Any],
    ) -> str:
        ref = f"mem://manifests/run_id={run_id}/manifest"
        self._manifests[ref] = ParsedManifest(required_build, list(shards), dict(custom))
        self._refs = [known for known in self._refs if known.ref != ref]
        self._refs.append(ManifestRef(ref, run_id, datetime.now(timezone.utc)))
        self._current = ref
        return ref

    def load_current(self) -> ManifestRef | None:
        return next((ref for ref in self._refs if ref.ref == self._current), None)

    def load_manifest(self, ref: str) -> ParsedManifest:
        """Raises `KeyError` for a reference that was never published."""
        return self._manifests[ref]

    def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        return self._refs[::-1][: max(0, limit)]

    def set_current(self, ref: str) -> None:
        if ref not in self._manifests:
            raise KeyError(f"manifest reference: expected a published one, found {describe(ref)}")
        self._current = ref
