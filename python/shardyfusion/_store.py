"""Custom manifest stores, which select the manifest to serve."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import timezone
from typing import Any, Protocol, TypeVar

from shardyfusion import _core
from shardyfusion._options import Reporter, warn
from shardyfusion.errors import ConfigValidationError, ManifestParseError, ReaderStateError
from shardyfusion.manifest import ManifestRef, ParsedManifest
from shardyfusion.manifest_store import manifest_payload
from shardyfusion.metrics import MetricEvent

_T = TypeVar("_T")


class AsyncManifestSource(Protocol):
    """What the asyncio reader needs of a store of manifests. `open` raises the exceptions of its methods unchanged. `refresh` catches `ShardyfusionError` and
    keeps the old snapshot, and raises all other exceptions."""

    async def load_current(self) -> ManifestRef | None:
        """Returns the manifest to serve, or None if nothing is published."""
        ...

    async def load_manifest(self, ref: str, /) -> ParsedManifest | bytes:
        """Returns the manifest with that reference, parsed or as bytes."""
        ...

    async def list_manifests(self, *, limit: int = 10) -> Sequence[ManifestRef]:
        """Returns published manifests, newest first."""
        ...


class ManifestSource(Protocol):
    """The same for the synchronous reader."""

    def load_current(self) -> ManifestRef | None: ...

    def load_manifest(self, ref: str, /) -> ParsedManifest | bytes: ...

    def list_manifests(self, *, limit: int = 10) -> Sequence[ManifestRef]: ...


class SyncStore:
    """Wraps a synchronous store in the asynchronous interface; its methods never wait."""

    def __init__(self, store: ManifestSource) -> None:
        self._store = store

    async def load_current(self) -> ManifestRef | None:
        return _not_awaitable(self._store.load_current())

    async def load_manifest(self, ref: str, /) -> ParsedManifest | bytes:
        return _not_awaitable(self._store.load_manifest(ref))

    async def list_manifests(self, *, limit: int = 10) -> Sequence[ManifestRef]:
        return _not_awaitable(self._store.list_manifests(limit=limit))


def _not_awaitable(value: _T) -> _T:
    if not inspect.isawaitable(value):
        return value
    if inspect.iscoroutine(value):
        value.close()
    raise ConfigValidationError("manifest_store: expected one whose methods return values, found coroutines")


def run_unwaiting(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Runs a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError("a synchronous store waited")


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """A valid manifest, as the library accepts it."""

    ref: str
    run_id: str
    payload: bytes
    published_seconds: float


async def load_live(
    store: AsyncManifestSource, reporter: Reporter, max_fallback_attempts: int, known_ref: str | None = None
) -> LoadedManifest | None:
    """Returns the store's current manifest or, if that is malformed, the newest older one that is valid; None if `known_ref`
    is still current."""
    current = await store.load_current()
    if current is None:
        raise ReaderStateError("no snapshot: manifest_store.load_current() gave None")
    if known_ref is not None and current.ref == known_ref:
        return None
    try:
        return await _load(store, current)
    except ManifestParseError as error:
        if max_fallback_attempts == 0:
            raise
        first = error
    reporter.emit(
        MetricEvent.FALLBACK, {"manifest_ref": current.ref, "error": type(first).__name__, "message": str(first)}
    )
    warn("falling back: %s", first)
    older = await store.list_manifests(limit=max_fallback_attempts + 1)
    for ref in [ref for ref in older if ref.ref != current.ref][:max_fallback_attempts]:
        try:
            loaded = await _load(store, ref)
        except ManifestParseError as error:
            warn("fallback: %s", error)
        else:
            warn("serving the older manifest %s", loaded.ref)
            return loaded
    raise first


async def _load(store: AsyncManifestSource, ref: ManifestRef) -> LoadedManifest:
    loaded = await store.load_manifest(ref.ref)
    payload = manifest_payload(loaded) if isinstance(loaded, ParsedManifest) else bytes(loaded)
    _core.check_manifest(payload, f"manifest {ref.ref}")
    published = ref.published_at
    if published.tzinfo is None:
        published = published.replace(tzinfo=timezone.utc)
    return LoadedManifest(ref.ref, ref.run_id, payload, published.timestamp())
