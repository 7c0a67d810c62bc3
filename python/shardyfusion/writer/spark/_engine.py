"""Spark as an engine: partitions are those of a DataFrame, and tasks are the partitions of a range of numbers. All of it goes by
`mapInArrow`, which classic sessions and Spark Connect have."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]
from pyspark import TaskContext  # type: ignore[import-not-found,import-untyped,unused-ignore]
from pyspark.sql import functions  # type: ignore[import-not-found,import-untyped,unused-ignore]

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession  # type: ignore[import-not-found,import-untyped,unused-ignore]

    from shardyfusion.writer._driver import PartitionFunction

_SCHEMA = "number long, result binary"
_HASH_MASK = 2**31 - 1


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _results(results: Iterator[tuple[int, bytes]]) -> Iterator[pyarrow.RecordBatch]:
    for number, result in results:
        columns = [pyarrow.array([number], pyarrow.int64()), pyarrow.array([result], pyarrow.binary())]
        yield pyarrow.RecordBatch.from_arrays(columns, names=["number", "result"])


class _OnPartition:
    """Calls a function with the batches of a partition."""

    def __init__(self, function: PartitionFunction) -> None:
        self._function = function

    def __call__(self, batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        context = TaskContext.get()
        number = 0 if context is None else context.partitionId()
        yield from _results(iter([(number, self._function(batches, number))]))


class _OnNumbers:
    """Calls a function with the tasks of the numbers that it is given: one, as a rule."""

    def __init__(self, function: Callable[[Any], bytes], tasks: Sequence[Any]) -> None:
        self._function = function
        self._tasks = tasks

    def __call__(self, batches: Iterator[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        for batch in batches:
            numbers: list[int] = batch.column(0).to_pylist()
            yield from _results((number, self._function(self._tasks[number])) for number in numbers)


@contextmanager
def _described(session: SparkSession, description: str) -> Iterator[None]:
    """Describes the jobs that are run meanwhile, where the session can."""
    context = getattr(session, "_sc", None)
    if context is None:  # Spark Connect
        yield
        return
    before = context.getLocalProperty("spark.job.description")
    context.setJobDescription(description)
    try:
        yield
    finally:
        context.setLocalProperty("spark.job.description", before)


class SparkEngine:
    """An `Engine` over a Spark DataFrame."""

    name = "spark"

    def __init__(self, frame: DataFrame) -> None:
        self._frame = frame
        self._session = frame.sparkSession

    def columns(self) -> Sequence[str]:
        return list(self._frame.columns)

    def count(self) -> int:
        with _described(self._session, "shardyfusion: count rows"):
            return int(self._frame.count())

    def sampled(self, id_column: str, seed: int, fraction: float) -> SparkEngine:
        """Returns an engine of rows that Spark chooses by a hash of their ids: only these leave it."""
        number = functions.xxhash64(functions.lit(str(seed)), functions.col(_quoted(id_column))).bitwiseAND(_HASH_MASK)
        return SparkEngine(self._frame.where(number < int(fraction * (_HASH_MASK + 1))))

    def map_partitions(self, columns: list[str], function: PartitionFunction, description: str) -> list[bytes]:
        selected = self._frame.select(*[functions.col(_quoted(name)) for name in columns])
        return self._collect(selected, _OnPartition(function), description)

    def run(self, function: Callable[[Any], bytes], tasks: Sequence[Any], description: str) -> list[bytes]:
        numbers = self._session.range(0, len(tasks), 1, max(1, len(tasks)))
        return self._collect(numbers, _OnNumbers(function, tasks), description)

    def _collect(self, frame: DataFrame, call: Any, description: str) -> list[bytes]:
        with _described(self._session, description):
            rows = frame.mapInArrow(call, _SCHEMA).collect()
        return [bytes(row["result"]) for row in sorted(rows, key=lambda row: row["number"])]
