"""Writers of single shards, in the formats that the library supports itself.

Passed as `adapter_factory`, a factory lets the library write the shards itself, many at a time. Called, for example by a custom
factory that wraps the result, it makes the writer of one shard. Needs NumPy.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Self

    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.s3 import S3ConnectionOptions
    from shardyfusion.vector.config import VectorIndexConfig

_DATABASE, _SIDECAR = "shard.db", "shard.sidecar"
_TAG_LENGTH = 17  # where a sidecar says how long the tag is that follows


def _bound(sidecar: bytes, etag: str | None) -> bytes:
    """Returns a sidecar that is bound to nothing as that of the object with this ETag."""
    tag = (etag or "").encode()
    if len(tag) > 255:
        tag = b""
    return sidecar[:_TAG_LENGTH] + bytes([len(tag)]) + tag + sidecar[_TAG_LENGTH + 1 :]


class CallableWriterFactory:
    """What the factories have in common."""

    shard_format: str
    s3_connection_options: S3ConnectionOptions | None
    credential_provider: CredentialProvider | None

    def __call__(
        self, *, db_url: str, local_dir: os.PathLike[str] | str, index_config: VectorIndexConfig | None = None
    ) -> OneShardWriter:
        """Returns a writer of the shard at `db_url`, which writes its files in `local_dir` until it is sealed."""
        return OneShardWriter(self, db_url, local_dir, self._index_config(index_config))

    def _index_config(self, given: VectorIndexConfig | None) -> VectorIndexConfig:
        """What the vectors are. Raises `ConfigValidationError` where the factory can't write them."""
        from shardyfusion.errors import ConfigValidationError

        if given is None:
            raise ConfigValidationError("index_config: expected a VectorIndexConfig, found none")
        return given


class OneShardWriter:
    """Writes one shard: a `VectorIndexWriter`. One thread at a time may use it.

    Rows are checked when they are added: ids are integers or strings, vectors finite, of the configuration's dimension. `seal` writes
    the shard and stores its files below `db_url`, each of which is in memory meanwhile. `close` removes the local files.
    """

    def __init__(
        self,
        factory: CallableWriterFactory,
        db_url: str,
        local_dir: os.PathLike[str] | str,
        index_config: VectorIndexConfig,
    ) -> None:
        from shardyfusion import _core
        from shardyfusion._types import VectorShardingStrategy
        from shardyfusion.vector.config import VectorShardedWriteConfig, VectorShardingConfig, VectorWriteOptions
        from shardyfusion.vector.writer import core_build_options

        self._factory = factory
        self._db_url = db_url.rstrip("/")
        self._folder = Path(local_dir) / "one_shard"
        self._num_rows = 0
        self._num_bytes = 0
        config = VectorShardedWriteConfig(
            index_config=index_config,
            sharding=VectorShardingConfig(num_dbs=1, strategy=VectorShardingStrategy.EXPLICIT),
            s3_prefix=str(self._folder),
            adapter_factory=factory,
        )
        options = core_build_options(config, VectorWriteOptions(), "shard") | {"leave_unpublished": 1}
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._builder = _core.Builder(str(self._folder), _core.Sink(False), None, options)

    def add_batch(self, ids: Any, vectors: Any, payloads: list[dict[str, Any]] | None = None) -> None:
        """Adds rows: `vectors` has the shape (len(ids), dim)."""
        import numpy
        from shardyfusion._values import column
        from shardyfusion.errors import ConfigValidationError

        rows: Any = numpy.asarray(vectors, dtype=numpy.float32)
        count = len(ids)
        if len(rows) != count:
            raise ConfigValidationError(f"vectors: expected one for each of {count} ids, found {len(rows)}")
        shard_ids = column("shard_ids", [0] * count, count)
        self._builder.add_array(rows, column("ids", ids, count), column("payloads", payloads, count), shard_ids, None, 0, count)
        self._num_rows += count

    def flush(self) -> None:
        """Does nothing: rows are written as they come."""

    def seal(self) -> None:
        """Writes what remains, and stores the shard. A shard without rows has no files."""
        from shardyfusion.storage import backend_of

        built = self._builder.finish()
        storage = backend_of(self._db_url, self._factory.credential_provider, self._factory.s3_connection_options)
        for shard in built[4]:
            folder = self._folder / "shards" / "run_id=shard" / f"db={shard[0]:05d}" / f"attempt={shard[4]:02d}"
            self._num_bytes += shard[3]
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                content = file.read_bytes()
                if file.name == _SIDECAR:  # after the database, which it is bound to
                    content = _bound(content, storage.head(f"{self._db_url}/{_DATABASE}"))
                storage.put(f"{self._db_url}/{file.relative_to(folder).as_posix()}", content, "application/octet-stream")

    def db_bytes(self) -> int:
        """Returns how many bytes the stored shard has."""
        return self._num_bytes

    def close(self) -> None:
        self._builder.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
