"""The published manifests below a snapshot's root."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from shardyfusion import _core
from shardyfusion._lazy import asyncio
from shardyfusion._paths import path_option
from shardyfusion._runtime import queue_of
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError, ManifestStoreError
from shardyfusion.manifest import ManifestRef, ParsedManifest
from shardyfusion.s3 import core_options

if TYPE_CHECKING:
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.s3 import S3ConnectionOptions
    from shardyfusion.storage import AsyncStorageBackend

__all__ = ["AsyncManifestStore", "AsyncS3ManifestStore"]


class AsyncManifestStore(Protocol):
    """A store of published manifests, one of which is the current one. A reader accepts one that returns manifests as bytes, too."""

    async def load_current(self) -> ManifestRef | None:
        """Returns the current manifest, or None if nothing is published."""
        ...

    async def load_manifest(self, ref: str) -> ParsedManifest:
        """Returns the manifest with that reference."""
        ...

    async def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        """Returns published manifests, newest first."""
        ...


class AsyncS3ManifestStore:
    """The manifests below `s3_prefix` (also `file:///…` or a path), which a reader uses without a custom store.

    `AsyncS3ManifestStore(s3_prefix)` reads them by the library; `AsyncS3ManifestStore(backend, s3_prefix)` by a backend.
    """

    def __init__(
        self,
        backend: AsyncStorageBackend | str | os.PathLike[str] | None = None,
        s3_prefix: str | os.PathLike[str] | None = None,
        *,
        manifest_name: str = "manifest",
        current_pointer_key: str = "_CURRENT",
        credential_provider: CredentialProvider | None = None,
        s3_connection_options: S3ConnectionOptions | None = None,
    ) -> None:
        if isinstance(backend, (str, os.PathLike)):
            if s3_prefix is not None:
                raise ConfigValidationError(f"backend: expected a storage backend, found {describe(backend)}")
            backend, s3_prefix = None, backend
        if backend is None and (manifest_name != "manifest" or current_pointer_key != "_CURRENT"):
            raise ConfigValidationError("manifest_name and current_pointer_key: expected them only beside a backend")
        self.s3_prefix = path_option("s3_prefix", s3_prefix).rstrip("/")
        self.manifest_name = manifest_name
        self.current_pointer_key = current_pointer_key
        self._backend = backend
        s3 = core_options(s3_connection_options, credential_provider)
        self._storage: dict[str, Any] = {"s3": s3} if s3 else {}

    def __repr__(self) -> str:
        return f"AsyncS3ManifestStore({self.s3_prefix!r})"

    async def load_current(self) -> ManifestRef | None:
        """Returns the manifest that `_CURRENT` points to, or None if there is none. Raises `ManifestParseError`."""
        from shardyfusion.manifest_store import parse_current_pointer_to_ref

        if self._backend is not None:
            payload = await self._backend.try_get(f"{self.s3_prefix}/{self.current_pointer_key}")
            return None if payload is None else parse_current_pointer_to_ref(payload)
        try:
            payload = await self._read("_CURRENT")
        except ManifestStoreError:
            return None
        return parse_current_pointer_to_ref(payload)

    async def load_manifest(self, ref: str) -> ParsedManifest:
        """Returns a manifest. Raises `ManifestStoreError` if it is missing."""
        from shardyfusion.manifest_store import parse_sqlite_manifest

        if self._backend is None:
            return parse_sqlite_manifest(await self._read(ref))
        try:
            return parse_sqlite_manifest(await self._backend.get(ref))
        except FileNotFoundError as error:
            raise ManifestStoreError(str(error)) from error

    async def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        """Returns published manifests, newest first."""
        if self._backend is not None:
            return await self._list_by(self._backend, limit)
        queue = queue_of(asyncio.get_running_loop())
        future: asyncio.Future[list[tuple[str, str, str, bool]]] = queue.loop.create_future()
        operation = _core.history(
            queue.core, future, self.s3_prefix, _core.Sink(False), limit=max(0, limit), **self._storage
        )
        rows = await queue.wait_for(operation, future)
        return [ManifestRef(ref, run_id, datetime.fromisoformat(published)) for ref, run_id, published, _ in rows]

    async def _list_by(self, backend: AsyncStorageBackend, limit: int) -> list[ManifestRef]:
        from shardyfusion.manifest_store import parse_manifest_dir_entry

        folder = f"{self.s3_prefix}/manifests/"
        names = [url[len(folder) :] for url in await backend.list_prefixes(folder)]
        found = (parse_manifest_dir_entry(name, self.s3_prefix, self.manifest_name) for name in names)
        refs = [ref for ref in found if ref is not None]
        return sorted(refs, key=lambda ref: ref.published_at, reverse=True)[: max(0, limit)]

    async def _read(self, reference: str) -> bytes:
        queue = queue_of(asyncio.get_running_loop())
        future: asyncio.Future[bytes] = queue.loop.create_future()
        operation = _core.read_object(
            queue.core, future, self.s3_prefix, _core.Sink(False), reference=reference, **self._storage
        )
        return await queue.wait_for(operation, future)
