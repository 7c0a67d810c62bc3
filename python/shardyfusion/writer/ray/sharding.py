"""The shard of each row of a Ray Dataset as a column."""

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
from shardyfusion.writer.ray._engine import plain_block

if TYPE_CHECKING:
    from shardyfusion.vector._distributed import ResolvedVectorRouting

__all__ = ["VECTOR_DB_ID_COL", "add_vector_db_id_column"]


class _Assign:
    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    def __call__(self, block: pyarrow.Table) -> pyarrow.Table:
        router = self._assignment.router()
        plain = plain_block(block)
        shards = [shard for batch in plain.to_batches() for shard in self._assignment.shards(router, batch)]
        return block.append_column(self._assignment.output_col, pyarrow.array(shards, pyarrow.int64()))


def _with_column(ds: Any, assignment: Assignment) -> Any:
    return ds.map_batches(_Assign(assignment), batch_size=None, batch_format="pyarrow")


def add_vector_db_id_column(
    ds: Any,
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
    assignment.check(list(ds.columns()))
    return _with_column(ds, assignment), routing.num_dbs
