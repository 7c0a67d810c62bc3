"""Ray as an engine: partitions are the blocks of a Dataset, tasks are remote functions."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]
import ray  # type: ignore[import-not-found,import-untyped,unused-ignore]
import ray.data  # type: ignore[import-not-found,import-untyped,unused-ignore]

if TYPE_CHECKING:
    from shardyfusion.writer._driver import PartitionFunction

_RESULT = "result"


class _OnBlock:
    """Calls a function with a block of the dataset, as a table of one result."""

    def __init__(self, function: PartitionFunction) -> None:
        self._function = function

    def __call__(self, block: pyarrow.Table) -> pyarrow.Table:
        result = self._function(iter(plain_block(block).to_batches()), _block_number())
        return pyarrow.table({_RESULT: pyarrow.array([result], pyarrow.binary())})


def _block_number() -> int:
    """Returns the number of the running task: which of the input's tasks the block is from."""
    try:
        from ray.data._internal.execution.interfaces.task_context import TaskContext  # type: ignore[import-not-found,import-untyped,unused-ignore]

        context = TaskContext.get_current()
    except (ImportError, AttributeError):
        return 0
    return 0 if context is None else int(context.task_idx)


def plain_block(block: pyarrow.Table) -> pyarrow.Table:
    """Returns the block with Ray's tensors as the lists of numbers that they are stored as."""
    for index, column in enumerate(block.columns):
        if type(column.type).__module__.startswith("ray."):
            chunks = [chunk.storage for chunk in column.chunks]
            plain = pyarrow.chunked_array(chunks, type=column.type.storage_type)
            block = block.set_column(index, block.column_names[index], plain)
    return block


class RayEngine:
    """An `Engine` over a Ray Dataset."""

    name = "ray"

    def __init__(self, dataset: ray.data.Dataset) -> None:
        self._dataset = dataset

    def columns(self) -> Sequence[str]:
        return list(self._dataset.columns() or [])

    def count(self) -> int:
        return int(self._dataset.count())

    def sampled(self, id_column: str, seed: int, fraction: float) -> RayEngine:
        return self

    def map_partitions(self, columns: list[str], function: PartitionFunction, description: str) -> list[bytes]:
        selected = self._dataset.select_columns(columns)
        results = selected.map_batches(
            _OnBlock(function), batch_size=None, batch_format="pyarrow", zero_copy_batch=True
        )
        results.set_name(description)
        return [row for batch in _in_order(results) for row in batch.column(_RESULT).to_pylist()]

    def run(self, function: Callable[[Any], bytes], tasks: Sequence[Any], description: str) -> list[bytes]:
        remote = ray.remote(_call).options(name=description)
        shared = ray.put(function)
        return list(ray.get([remote.remote(shared, task) for task in tasks]))


def _call(function: Callable[[Any], bytes], task: Any) -> bytes:
    return function(task)


def _in_order(results: ray.data.Dataset) -> Iterator[pyarrow.Table]:
    """Yields batches in the order of the blocks that they are from."""
    options = results.context.execution_options
    before = options.preserve_order
    options.preserve_order = True
    try:
        yield from results.iter_batches(batch_size=None, batch_format="pyarrow")
    finally:
        options.preserve_order = before
