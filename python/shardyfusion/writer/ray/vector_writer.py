"""Writing a Ray Dataset as a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shardyfusion.writer import _driver
from shardyfusion.writer.ray._engine import RayEngine

if TYPE_CHECKING:
    import ray.data

    from shardyfusion.manifest import BuildResult
    from shardyfusion.vector.config import VectorColumnInput, VectorShardedWriteConfig, VectorWriteOptions

__all__ = ["write_sharded"]


def write_sharded(
    ds: ray.data.Dataset,
    config: VectorShardedWriteConfig,
    input: VectorColumnInput,
    options: VectorWriteOptions | None = None,
) -> BuildResult:
    """Writes a Ray Dataset as a snapshot, and makes it the live one of its root.

    `input` names the columns; `id_col` is required. All workers must reach the root: object storage, or a directory that they
    share. Until the snapshot is published, and if anything fails, the root is unchanged. An invalid row is a
    `ConfigValidationError` that names its block, its id and the reason.
    """
    return _driver.write(RayEngine(ds), config, input, options)
