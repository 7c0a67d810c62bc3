"""The shard of each row of a Spark DataFrame as a column."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import types  # type: ignore[import-not-found,import-untyped,unused-ignore]

from shardyfusion.writer._sharding import VECTOR_DB_ID_COL, Assignment

if TYPE_CHECKING:
    from shardyfusion.vector._distributed import ResolvedVectorRouting

__all__ = ["VECTOR_DB_ID_COL", "add_vector_db_id_column"]


class _Assign:
    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment

    def __call__(self, batches: Any) -> Any:
        for batch in batches:
            yield self._assignment.with_column(batch)


def _with_column(df: Any, assignment: Assignment) -> Any:
    added = types.StructField(assignment.output_col, types.IntegerType())
    return df.mapInArrow(_Assign(assignment), types.StructType([*df.schema.fields, added]))


def add_vector_db_id_column(
    df: Any,
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
    assignment.check(list(df.columns))
    return _with_column(df, assignment), routing.num_dbs
