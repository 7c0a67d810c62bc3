"""Writing a Dask DataFrame as a snapshot."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING

from shardyfusion.writer import _driver
from shardyfusion.writer.dask._engine import DaskEngine

if TYPE_CHECKING:
    import dask.dataframe  # type: ignore[import-not-found,import-untyped,unused-ignore]

    from shardyfusion.manifest import BuildResult
    from shardyfusion.vector.config import VectorColumnInput, VectorShardedWriteConfig, VectorWriteOptions

__all__ = ["write_sharded"]


def write_sharded(
    ddf: dask.dataframe.DataFrame,
    config: VectorShardedWriteConfig,
    input: VectorColumnInput,
    options: VectorWriteOptions | None = None,
) -> BuildResult:
    """Writes a Dask DataFrame as a snapshot, and makes it the live one of its root.

    `input` names the columns; `id_col` is required. All workers must reach the root: object storage, or a directory that they
    share. Until the snapshot is published, and if anything fails, the root is unchanged. An invalid row is a
    `ConfigValidationError` that names its partition, its id and the reason. Tasks run on the scheduler in use: that of the
    current client, or of `dask.config`.
    """
    return _driver.write(DaskEngine(ddf), config, input, options)
