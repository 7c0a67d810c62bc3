"""Assigning the rows of an Arrow batch to shards, for frames that are to have the shard as a column."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shardyfusion import _core, _json
from shardyfusion._types import VectorShardingStrategy
from shardyfusion.errors import ConfigValidationError
from shardyfusion.sharding_types import VECTOR_DB_ID_COL
from shardyfusion.vector._distributed import ResolvedVectorRouting
from shardyfusion.writer._worker import whole_matrix

if TYPE_CHECKING:
    import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

__all__ = ["VECTOR_DB_ID_COL", "Assignment"]


@dataclass(frozen=True)
class Assignment:
    """How rows are assigned, by which columns."""

    vector_col: str
    routing: ResolvedVectorRouting
    shard_id_col: str | None
    routing_context_cols: Mapping[str, str] | None
    output_col: str

    def check(self, columns: list[str]) -> None:
        """Checks the names of columns."""
        used = [self.vector_col, *([self.shard_id_col] if self.shard_id_col else []), *(self.routing_context_cols or {})]
        for name in used:
            if name not in columns:
                raise ConfigValidationError(f"expected a column {name!r}, found {columns}")
        if self.output_col in columns:
            raise ConfigValidationError(f"output_col: expected a name that no column has, found {self.output_col!r}")

    def router(self) -> _core.RowRouter:
        """Returns what assigns rows."""
        return self.routing.router(self.routing_context_cols)

    def shards(self, router: _core.RowRouter, batch: pyarrow.RecordBatch) -> list[int]:
        """Returns the shard of each row."""
        strategy = self.routing.strategy
        if strategy == VectorShardingStrategy.EXPLICIT:
            named: Any = None if self.shard_id_col is None else batch.column(self.shard_id_col).to_pylist()
            return self.routing.assign(router, None, named, None)
        if strategy == VectorShardingStrategy.CEL:
            return self.routing.assign(router, None, None, self._contexts(batch))
        return self.routing.assign(router, whole_matrix(batch.column(self.vector_col), self.vector_col), None, None)

    def _contexts(self, batch: pyarrow.RecordBatch) -> list[str]:
        names = list(self.routing_context_cols or self.routing.cel_columns or {})
        values = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
        return [_json.dump_context(dict(zip(names, row, strict=True))) for row in values]

    def with_column(self, batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
        """Returns the batch with the column of shards."""
        import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

        shards = pyarrow.array(self.shards(self.router(), batch), pyarrow.int32())
        return batch.append_column(self.output_col, shards)
