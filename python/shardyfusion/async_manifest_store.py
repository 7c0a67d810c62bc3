"""The published manifests below a snapshot's root."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from shardyfusion import _core
from shardyfusion._lazy import asyncio, json
from shardyfusion._paths import path_option
from shardyfusion._runtime import queue_of
from shardyfusion._store import AsyncManifestStore
from shardyfusion.errors import ManifestParseError, ManifestStoreError
from shardyfusion.manifest import ManifestRef
from shardyfusion.s3 import core_options

if TYPE_CHECKING:
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.s3 import S3ConnectionOptions

__all__ = ["AsyncManifestStore", "AsyncS3ManifestStore"]

_T = TypeVar("_T")


class AsyncS3ManifestStore:
    """The manifests below `s3_prefix` (also `file:///…` or a path), which a reader uses without a custom store."""

    def __init__(
        self,
        s3_prefix: str | os.PathLike[str],
        *,
        credential_provider: CredentialProvider | None = None,
        s3_connection_options: S3ConnectionOptions | None = None,
    ) -> None:
        self._root = path_option("s3_prefix", s3_prefix)
        s3 = core_options(s3_connection_options, credential_provider)
        self._storage: dict[str, Any] = {"s3": s3} if s3 else {}

    def __repr__(self) -> str:
        return f"AsyncS3ManifestStore({self._root!r})"

    async def load_current(self) -> ManifestRef | None:
        """Returns the manifest that `_CURRENT` points to, or None if there is none. Raises `ManifestParseError`."""
        try:
            pointer = json.loads(await self._read("_CURRENT"))
            published_at = datetime.fromisoformat(pointer["updated_at"])
            return ManifestRef(pointer["manifest_ref"], pointer["run_id"], published_at)
        except ManifestStoreError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestParseError(f"_CURRENT below {self._root}: {error}") from error

    async def load_manifest(self, ref: str, /) -> bytes:
        """Returns the bytes of a manifest. Raises `ManifestStoreError` if it is missing."""
        return await self._read(ref)

    async def list_manifests(self, *, limit: int = 10) -> list[ManifestRef]:
        """Returns published manifests, newest first."""
        queue = queue_of(asyncio.get_running_loop())
        future: asyncio.Future[list[tuple[str, str, str, bool]]] = queue.loop.create_future()
        operation = _core.history(
            queue.core, future, self._root, _core.Sink(False), limit=max(0, limit), **self._storage
        )
        rows = await queue.wait_for(operation, future)
        return [ManifestRef(ref, run_id, datetime.fromisoformat(published)) for ref, run_id, published, _ in rows]

    async def _read(self, reference: str) -> bytes:
        queue = queue_of(asyncio.get_running_loop())
        future: asyncio.Future[bytes] = queue.loop.create_future()
        operation = _core.read_object(
            queue.core, future, self._root, _core.Sink(False), reference=reference, **self._storage
        )
        return await queue.wait_for(operation, future)
