"""The shard of each row of a Dask DataFrame as a column."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

from shardyfusion.writer._sharding import VECTOR_DB_ID_COL, Assignment
from shardyfusion.writer.dask._engine import arrow_table

if TYPE_CHECKING:
    from shardyfusion.vector._distributed import ResolvedVectorRouting

__all__ = ["VECTOR_DB_ID_COL", "add_vector_db_id_column"]


def _assign(part: Any, assignment: Assignment) -> Any:
    table: pyarrow.Table = arrow_table(part, assignment.vector_col)
    router = assignment.router()
    shards = [shard for batch in table.to_batches() for shard in assignment.shards(router, batch)]
    return part.assign(**{assignment.output_col: shards}).astype({assignment.output_col: "int64"})


def _with_column(ddf: Any, assignment: Assignment) -> Any:
    meta = ddf._meta.assign(**{assignment.output_col: 0}).astype({assignment.output_col: "int64"})
    return ddf.map_partitions(_assign, assignment, meta=meta)


def add_vector_db_id_column(
    ddf: Any,
    *,
    vector_col: str,
    routing: ResolvedVectorRouting,
    shard_id_col: str | None = None,
    routing_context_cols: dict[str, str] | None = None,
    output_col: str = VECTOR_DB_ID_COL,
) -> tuple[Any, int]:
    """Returns the frame with the shard of each row as a column, and the number of shards.

    `routing` is what `shardyfusion.vector._distributed.resolve_vector_routing` returns. `shard_id_col` is for explicit sharding,
    `routing_context_cols` for cel: names of columns and their types.
    """
    assignment = Assignment(vector_col, routing, shard_id_col, routing_context_cols, output_col)
    assignment.check(list(ddf.columns))
    return _with_column(ddf, assignment), routing.num_dbs
