"""Objects of a store by their URLs: for manifests and records that a program keeps itself. Shards are read and written by the
library, without these."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from shardyfusion import _core
from shardyfusion._lazy import asyncio
from shardyfusion._paths import path_option
from shardyfusion._runtime import queue_of
from shardyfusion._text import describe
from shardyfusion.s3 import S3ConnectionOptions, core_options

if TYPE_CHECKING:
    from shardyfusion.credentials import CredentialProvider, S3Credentials

__all__ = [
    "AsyncMemoryBackend",
    "AsyncObstoreBackend",
    "AsyncStorageBackend",
    "MemoryBackend",
    "ObstoreBackend",
    "StorageBackend",
    "backend_of",
    "create_s3_store",
    "join_s3",
    "parse_s3_url",
]

_READ, _WRITE, _LIST, _REMOVE_ALL, _ETAG = range(5)


class StorageBackend(Protocol):
    """A store of objects. `get` of one that is missing raises `FileNotFoundError`."""

    def put(self, url: str, payload: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None: ...

    def get(self, url: str) -> bytes: ...

    def try_get(self, url: str) -> bytes | None: ...

    def list_prefixes(self, prefix_url: str) -> list[str]: ...

    def delete_prefix(self, prefix_url: str) -> int: ...


class AsyncStorageBackend(Protocol):
    """The same for asyncio."""

    async def put(
        self, url: str, payload: bytes, content_type: str, headers: Mapping[str, str] | None = None
    ) -> None: ...

    async def get(self, url: str) -> bytes: ...

    async def try_get(self, url: str) -> bytes | None: ...

    async def list_prefixes(self, prefix_url: str) -> list[str]: ...

    async def delete_prefix(self, prefix_url: str) -> int: ...


def parse_s3_url(url: str) -> tuple[str, str]:
    """Returns the bucket and the key of `s3://bucket/key`. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"Invalid S3 URL: expected s3://bucket/key, found {describe(url)}")
    key = parts.path.lstrip("/")
    if not key:
        raise ValueError(f"S3 URL must include key path: found {describe(url)}")
    return parts.netloc, key


def join_s3(base: str, *parts: str) -> str:
    """Joins parts of a URL by single slashes."""
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts if part)])


class _Root:
    """A root, and how it is accessed. A root `s3://bucket` stands for the whole bucket."""

    def __init__(self, root: str, s3: dict[str, Any] | None) -> None:
        self.root = root.rstrip("/")
        self.s3 = s3

    def call(self, action: int, url: str, payload: bytes | None, queue: Any = None, future: Any = None) -> Any:
        root, key = self.split(url)
        return _core.call_object(
            queue, future, root, _core.Sink(False), action=action, key=key, bytes=payload, s3=self.s3
        )

    def split(self, url: str) -> tuple[str, str]:
        """The root that the library opens for a URL, and the key below it. It wants a prefix below the bucket."""
        if url.startswith("s3://"):
            if not url.startswith(self.root + "/"):
                raise ValueError(f"url: expected one below {self.root}, found {describe(url)}")
            bucket, key = parse_s3_url(url)
            first, slash, rest = key.partition("/")
            return (f"s3://{bucket}/{first}", rest) if slash else (f"s3://{bucket}", key)
        root, path = _local_path(self.root), _local_path(url)
        if not path.startswith(root + "/"):
            raise ValueError(f"url: expected one below {self.root}, found {describe(url)}")
        return root, path[len(root) + 1 :]


def _local_path(url: str) -> str:
    return unquote(url[len("file://") :]) if url.startswith("file://") else os.path.abspath(url) + "/" * url.endswith("/")


def _folder(url: str) -> str:
    return url if url.endswith("/") else url + "/"


def _missing(url: str) -> FileNotFoundError:
    return FileNotFoundError(f"{url}: expected an object, found none")


class ObstoreBackend:
    """The objects of one bucket or root, accessed by the library. `store` is made by `create_s3_store`."""

    def __init__(self, store: Any) -> None:
        self._store: _Root = store

    def put(self, url: str, payload: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        """Writes an object, whole or not at all. The type and the headers are not stored."""
        self._store.call(_WRITE, url, payload).wait()

    def get(self, url: str) -> bytes:
        found = self.try_get(url)
        if found is None:
            raise _missing(url)
        return found

    def try_get(self, url: str) -> bytes | None:
        found: bytes | None = self._store.call(_READ, url, None).wait()
        return found

    def head(self, url: str) -> str | None:
        """Returns the ETag of an object, in its quotes; None where the store has none for it, as a directory."""
        etag: bytes | None = self._store.call(_ETAG, url, None).wait()
        if etag is None:
            raise _missing(url)
        return etag.decode("latin-1") or None

    def list_prefixes(self, prefix_url: str) -> list[str]:
        """Returns the URLs of the folders directly below, each with a slash at its end, sorted."""
        folder = _folder(prefix_url)
        return [folder + name for name in self._list(folder) if name.endswith("/")]

    def delete_prefix(self, prefix_url: str) -> int:
        """Removes all objects below, and returns how many there were."""
        folder = _folder(prefix_url)
        count = self._count(folder)
        self._store.call(_REMOVE_ALL, folder, None).wait()
        return count

    def _list(self, folder: str) -> list[str]:
        names: list[str] = self._store.call(_LIST, folder, None).wait()
        return names

    def _count(self, folder: str) -> int:
        return sum(self._count(folder + name) if name.endswith("/") else 1 for name in self._list(folder))


class AsyncObstoreBackend:
    """The same for asyncio."""

    def __init__(self, store: Any) -> None:
        self._store: _Root = store

    async def put(self, url: str, payload: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        await self._call(_WRITE, url, payload)

    async def get(self, url: str) -> bytes:
        found = await self.try_get(url)
        if found is None:
            raise _missing(url)
        return found

    async def try_get(self, url: str) -> bytes | None:
        found: bytes | None = await self._call(_READ, url, None)
        return found

    async def list_prefixes(self, prefix_url: str) -> list[str]:
        folder = _folder(prefix_url)
        return [folder + name for name in await self._call(_LIST, folder, None) if name.endswith("/")]

    async def delete_prefix(self, prefix_url: str) -> int:
        folder = _folder(prefix_url)
        count = await self._count(folder)
        await self._call(_REMOVE_ALL, folder, None)
        return count

    async def _count(self, folder: str) -> int:
        count = 0
        for name in await self._call(_LIST, folder, None):
            count += await self._count(folder + name) if name.endswith("/") else 1
        return count

    async def _call(self, action: int, url: str, payload: bytes | None) -> Any:
        queue = queue_of(asyncio.get_running_loop())
        future: asyncio.Future[Any] = queue.loop.create_future()
        return await queue.wait_for(self._store.call(action, url, payload, queue.core, future), future)


class MemoryBackend:
    """Objects in this process."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    def put(self, url: str, payload: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self._objects[url] = bytes(payload)

    def get(self, url: str) -> bytes:
        if url not in self._objects:
            raise _missing(url)
        return self._objects[url]

    def try_get(self, url: str) -> bytes | None:
        return self._objects.get(url)

    def list_prefixes(self, prefix_url: str) -> list[str]:
        folder = _folder(prefix_url)
        below = (url[len(folder) :] for url in self._objects if url.startswith(folder))
        return sorted({f"{folder}{name.partition('/')[0]}/" for name in below if "/" in name})

    def delete_prefix(self, prefix_url: str) -> int:
        removed = [url for url in self._objects if url.startswith(prefix_url)]
        for url in removed:
            del self._objects[url]
        return len(removed)


class AsyncMemoryBackend:
    """The same for asyncio."""

    def __init__(self) -> None:
        self._backend = MemoryBackend()

    async def put(self, url: str, payload: bytes, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self._backend.put(url, payload, content_type, headers)

    async def get(self, url: str) -> bytes:
        return self._backend.get(url)

    async def try_get(self, url: str) -> bytes | None:
        return self._backend.try_get(url)

    async def list_prefixes(self, prefix_url: str) -> list[str]:
        return self._backend.list_prefixes(prefix_url)

    async def delete_prefix(self, prefix_url: str) -> int:
        return self._backend.delete_prefix(prefix_url)


def create_s3_store(
    bucket: str, credentials: S3Credentials | None = None, connection_options: S3ConnectionOptions | None = None
) -> Any:
    """Returns access to a bucket, for `ObstoreBackend` and `AsyncObstoreBackend`."""
    from shardyfusion.credentials import StaticCredentialProvider

    provider = None
    if credentials is not None:
        keys = (credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
        provider = StaticCredentialProvider(*keys)
    return _Root(f"s3://{bucket}", core_options(connection_options, provider) or None)


def backend_of(
    root: str | os.PathLike[str],
    credential_provider: CredentialProvider | None = None,
    s3_connection_options: S3ConnectionOptions | None = None,
) -> ObstoreBackend:
    """Returns the objects below a root: `s3://bucket/prefix`, `file:///path` or a path."""
    s3 = core_options(s3_connection_options, credential_provider) or None
    return ObstoreBackend(_Root(path_option("s3_prefix", root), s3))
