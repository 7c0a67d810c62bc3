"""Writes of shards by an adapter of the caller's own (`adapter_factory`): rows are checked, and assigned to shards by the library's
routing; the adapter writes each shard, on the calling thread; the manifest that names them is published at the end. Needs NumPy."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy

from shardyfusion import _core
from shardyfusion._adapter_shard import AdapterShard, shard_url
from shardyfusion._json import dump_context
from shardyfusion._paths import path_option
from shardyfusion._text import describe
from shardyfusion._types import VectorShardingStrategy
from shardyfusion.errors import ConfigValidationError
from shardyfusion.manifest import (
    BuildDurations,
    BuildResult,
    BuildStats,
    ManifestShardingSpec,
    RequiredBuildMeta,
    RequiredShardMeta,
)
from shardyfusion.sharding_types import KeyEncoding
from shardyfusion.storage import backend_of

if TYPE_CHECKING:
    from shardyfusion.manifest_store import ManifestStore
    from shardyfusion.run_registry import RunRecordLifecycle
    from shardyfusion.vector.config import VectorShardedWriteConfig

_ROUTED_AT_ONCE = 1024


@dataclass(slots=True)
class Row:
    """A row as it was given."""

    id: Any
    vector: Any
    payload: Any = None
    shard_id: Any = None
    routing_context: Any = None


def root_url(root: str | os.PathLike[str]) -> str:
    """Returns the URL that references to a root's objects begin with."""
    path = path_option("s3_prefix", root).rstrip("/")
    return path if "://" in path else "file://" + quote(os.path.abspath(path), safe="-._~/=:@+,")


class CustomWrite:
    """One write. `options` are those of the library's builder, from which it takes the sharding."""

    def __init__(
        self,
        config: VectorShardedWriteConfig,
        options: dict[str, Any],
        run_id: str,
        acquire: Callable[[], object],
        tell: Callable[[int, int], object],
    ) -> None:
        self._config = config
        self._options = options
        self._run_id = run_id
        self._acquire = acquire
        self._tell = tell
        self._root = root_url(config.s3_prefix)
        self._shards: dict[int, AdapterShard] = {}
        self._ids: set[int | str] = set()
        self._num_rows = 0
        self._training_seconds = 0.0

    def run(self, rows: Iterable[Row], store: ManifestStore | None, record: RunRecordLifecycle) -> BuildResult:
        """Writes the rows and publishes the manifest."""
        started = time.monotonic()
        checked = self._check(rows)
        if self._config.sharding.strategy == VectorShardingStrategy.CLUSTER and self._config.sharding.train_centroids:
            checked = self._train(checked)
        router = _core.RowRouter(self._options)
        with ExitStack() as stack:
            for batch in _batches(checked):
                self._add(router, batch, stack)
            self._finish()
        written = time.monotonic()
        manifest_ref = self._publish(router, store)
        record.set_manifest_ref(manifest_ref)
        record.mark_succeeded()
        ended = time.monotonic()
        shards = self._describe()
        training = round(1000 * self._training_seconds)
        writing = round(1000 * (written - started)) - training
        durations = BuildDurations(training, writing, round(1000 * (ended - written)), round(1000 * (ended - started)))
        stats = BuildStats(durations, len(self._shards), len(shards), self._num_rows)
        return BuildResult(self._run_id, shards, manifest_ref, stats, record.run_record_ref)

    # ------------------------------------------------------------------------------------------------------------- Rows

    def _check(self, rows: Iterable[Row]) -> Iterator[Row]:
        dim = self._config.index_config.dim
        for number, row in enumerate(rows):
            what = f"row {number}"
            row.id = _id(what, row.id)
            if row.id in self._ids:
                raise ConfigValidationError(f"{what}: expected an id of its own, found {describe(row.id)} again")
            self._ids.add(row.id)
            row.vector = _vector(what, row.vector, dim)
            row.payload = _payload(what, row.payload)
            yield row

    def _train(self, rows: Iterator[Row]) -> Iterator[Row]:
        """Trains centroids from a sample, for which all rows are kept."""
        started = time.monotonic()
        kept = list(rows)
        if not kept:
            raise ConfigValidationError("training: expected at least one row, found none")
        size = min(len(kept), self._config.sharding.centroids_training_sample_size)
        generator = numpy.random.default_rng(self._config.sharding.seed)
        chosen: list[int] = sorted(generator.choice(len(kept), size, replace=False).tolist())
        vectors: list[Any] = [kept[row].vector for row in chosen]
        sample: Any = numpy.stack(vectors)
        trained = _core.train_centroids(self._options, sample)
        self._options["centroids"] = numpy.frombuffer(trained, dtype=numpy.float32).reshape(-1, sample.shape[1])
        self._training_seconds = time.monotonic() - started
        return iter(kept)

    def _add(self, router: _core.RowRouter, batch: list[Row], stack: ExitStack) -> None:
        for row, shard_id in zip(batch, self._assign(router, batch)):
            shard = self._shards.get(shard_id)
            if shard is None:
                shard = self._shards[shard_id] = self._open(shard_id, stack)
            shard.add(row.id, row.vector, row.payload)
            self._num_rows += 1

    def _assign(self, router: _core.RowRouter, batch: list[Row]) -> list[int]:
        match self._config.sharding.strategy:
            case VectorShardingStrategy.EXPLICIT:
                return router.assign(None, [_shard_id(row) for row in batch], None)
            case VectorShardingStrategy.CEL:
                return router.assign(None, None, [_context(row) for row in batch])
            case _:
                return router.assign(numpy.stack([row.vector for row in batch]), None, None)

    # ----------------------------------------------------------------------------------------------------------- Shards

    def _open(self, shard_id: int, stack: ExitStack) -> AdapterShard:
        config, output = self._config, self._config.output
        url = shard_url(self._root, output.shard_prefix, self._run_id, output.db_path_template, shard_id)
        local_root = Path(path_option("output.local_root", output.local_root))
        shard = AdapterShard(
            config.adapter_factory, shard_id, url, local_root, config.index_config, config.batch_size, self._acquire
        )
        return stack.enter_context(shard)

    def _finish(self) -> None:
        for shard_id in sorted(self._shards):
            shard = self._shards[shard_id]
            shard.finish()
            self._tell(shard_id, shard.row_count)

    def _describe(self) -> list[RequiredShardMeta]:
        return [shard.describe() for _, shard in sorted(self._shards.items())]

    # ------------------------------------------------------------------------------------------------------- Publishing

    def _publish(self, router: _core.RowRouter, store: ManifestStore | None) -> str:
        config = self._config
        vectors = router.vectors()
        centroids_ref = hyperplanes_ref = None
        if vectors is not None:
            name = "centroids" if config.sharding.strategy == VectorShardingStrategy.CLUSTER else "hyperplanes"
            ref = store_array(config, self._run_id, name, vectors)
            centroids_ref, hyperplanes_ref = (ref, None) if name == "centroids" else (None, ref)
        fields = vector_fields(config, self._num_rows, centroids_ref, hyperplanes_ref)
        if self._ids and all(isinstance(each, int) for each in self._ids):
            fields["id_type"] = "int"
        return publish_manifest(config, self._run_id, router.num_dbs, self._describe(), fields, store)


def publish_manifest(
    config: VectorShardedWriteConfig,
    run_id: str,
    num_dbs: int,
    shards: list[RequiredShardMeta],
    fields: dict[str, Any],
    store: ManifestStore | None = None,
) -> str:
    """Publishes a manifest of vectors, which `fields` describe; returns its reference."""
    from shardyfusion.vector.writer import manifest_store_of

    build = RequiredBuildMeta(
        run_id,
        datetime.now(timezone.utc),
        num_dbs,
        root_url(config.s3_prefix),
        "_vector_id",
        ManifestShardingSpec(),
        config.output.db_path_template,
        config.output.shard_prefix,
        key_encoding=KeyEncoding.RAW,
    )
    custom = dict(config.manifest.custom_manifest_fields) | {"vector": fields}
    publisher = manifest_store_of(config) if store is None else store
    return publisher.publish(run_id=run_id, required_build=build, shards=shards, custom=custom)


def vector_fields(
    config: VectorShardedWriteConfig, total_vectors: int, centroids_ref: str | None, hyperplanes_ref: str | None
) -> dict[str, Any]:
    """Returns what a manifest says of vectors."""
    from shardyfusion.vector.writer import routing_values_text

    index, sharding = config.index_config, config.sharding
    fields: dict[str, Any] = {
        "dim": index.dim,
        "metric": str(index.metric),
        "index_type": index.index_type,
        "quantization": index.quantization,
        "total_vectors": total_vectors,
        "sharding_strategy": str(sharding.strategy),
        "num_probes": sharding.num_probes,
    }
    if centroids_ref is not None:
        fields["centroids_ref"] = centroids_ref
    if hyperplanes_ref is not None:
        fields |= {"hyperplanes_ref": hyperplanes_ref, "num_hash_bits": sharding.num_hash_bits}
    if sharding.strategy == VectorShardingStrategy.CEL:
        fields["cel_expr"] = sharding.cel_expr
        fields["cel_columns"] = dict(sharding.cel_columns or {})
        values = routing_values_text(sharding.routing_values)
        if values is not None:
            fields["routing_values"] = json.loads(values)
    return fields


def store_array(config: VectorShardedWriteConfig, run_id: str, name: str, vectors: bytes) -> str:
    """Stores a routing artifact; returns its reference."""
    array = numpy.frombuffer(vectors, dtype=numpy.float32).reshape(-1, config.index_config.dim)
    storage = backend_of(config.s3_prefix, config.credential_provider, config.s3_connection_options)
    return put_array(storage, root_url(config.s3_prefix), run_id, name, array)


def put_array(storage: Any, root: str, run_id: str, name: str, array: Any) -> str:
    """Stores an array as `numpy.save` writes it; returns its reference. `root` is a URL."""
    file = io.BytesIO()
    numpy.save(file, array)
    ref = f"{root}/vector_meta/run_id={run_id}/{name}.npy"
    storage.put(ref, file.getvalue(), "application/octet-stream")
    return ref


# ----------------------------------------------------------------------------------------------------------------- Values


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROUTED_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _id(what: str, value: Any) -> int | str:
    plain: int | str = value.item() if isinstance(value, numpy.integer) else value
    if not isinstance(value, bool) and isinstance(plain, (int, str)):  # pyright: ignore[reportUnnecessaryIsInstance]
        return plain
    raise ConfigValidationError(f"{what}: id: expected an integer or a string, found {describe(value)}")


def _vector(what: str, value: Any, dim: int) -> Any:
    try:
        vector = numpy.asarray(value, dtype=numpy.float32)
    except (TypeError, ValueError):
        raise ConfigValidationError(f"{what}: vector: expected {dim} numbers, found {describe(value)}") from None
    if vector.shape != (dim,):
        raise ConfigValidationError(f"{what}: vector: expected {dim} components, found shape {vector.shape}")
    if not numpy.isfinite(vector).all():
        raise ConfigValidationError(f"{what}: vector: expected finite numbers (as float32), found others")
    return vector


def _payload(what: str, value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    try:
        payload: Any = json.loads(value) if isinstance(value, (str, bytes)) else value
    except ValueError as error:
        raise ConfigValidationError(f"{what}: payload: expected a JSON object, found {error}") from None
    if not isinstance(payload, Mapping):
        raise ConfigValidationError(f"{what}: payload: expected a mapping, found {describe(payload)}")
    return dict(payload)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _shard_id(row: Row) -> int:
    given = row.shard_id
    shard_id: int = given.item() if isinstance(given, numpy.integer) else given
    if isinstance(given, bool) or not isinstance(shard_id, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigValidationError(f"id {describe(row.id)}: shard_id: expected an integer, found {describe(given)}")
    return shard_id


def _context(row: Row) -> str:
    if not callable(getattr(row.routing_context, "items", None)):
        found = describe(row.routing_context)
        raise ConfigValidationError(f"id {describe(row.id)}: routing_context: expected a mapping, found {found}")
    return dump_context(row.routing_context)
