"""Dask as an engine: partitions are those of a DataFrame, tasks are delayed calls on the scheduler in use."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dask  # type: ignore[import-not-found,import-untyped,unused-ignore]
import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]
import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError
from shardyfusion.writer._worker import failed

if TYPE_CHECKING:
    import dask.dataframe  # type: ignore[import-not-found,import-untyped,unused-ignore]

    from shardyfusion.writer._driver import PartitionFunction

_RETRIES = 2


def _vectors_of_texts(column: Any) -> Any:
    """Returns lists of numbers from texts that look like them: Dask's conversion of objects to strings makes these."""
    texts = column.tolist()
    try:
        return [None if text is None or text is pandas.NA else json.loads(_as_json(text)) for text in texts]
    except (TypeError, ValueError):
        raise ConfigValidationError(
            f"{column.name}: expected lists of numbers, found strings that are none, as Dask's conversion of objects to strings "
            f"makes them (dask.config.set({{'dataframe.convert-string': False}})): {describe(texts[0])}"
        ) from None


def _as_json(text: str) -> str:
    """Returns "[1. 2.]", as NumPy prints arrays, as JSON."""
    if "," in text:
        return text
    return "[" + ", ".join(repr(float(number)) for number in text.strip("[] \n").split()) + "]"


def arrow_table(part: Any, vector: str) -> pyarrow.Table:
    if pandas.api.types.is_string_dtype(part[vector].dtype) and len(part) > 0 and isinstance(part[vector].iloc[0], str):
        part = part.assign(**{vector: pandas.Series(_vectors_of_texts(part[vector]), index=part.index, dtype=object)})
    try:
        return pyarrow.Table.from_pandas(part, preserve_index=False)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        raise ConfigValidationError(f"expected columns of one type each, found others: {error}") from None


def _on_partition(part: Any, columns: list[str], function: PartitionFunction, number: int) -> bytes:
    try:
        batches = iter(arrow_table(part[columns], columns[0]).to_batches())
    except ConfigValidationError as error:
        return failed(ConfigValidationError(f"partition {number}: {error}"))
    return function(batches, number)


class DaskEngine:
    """An `Engine` over a Dask DataFrame."""

    name = "dask"

    def __init__(self, frame: dask.dataframe.DataFrame) -> None:
        self._frame = frame

    def columns(self) -> Sequence[str]:
        return [str(name) for name in self._frame.columns]

    def count(self) -> int:
        return len(self._frame)

    def sampled(self, id_column: str, seed: int, fraction: float) -> DaskEngine:
        return self

    def map_partitions(self, columns: list[str], function: PartitionFunction, description: str) -> list[bytes]:
        parts = self._frame[columns].to_delayed()
        calls = [partial(_on_partition, columns=columns, function=function, number=i) for i in range(len(parts))]
        return _compute([(call, part) for call, part in zip(calls, parts, strict=True)], description)

    def run(self, function: Callable[[Any], bytes], tasks: Sequence[Any], description: str) -> list[bytes]:
        return _compute([(function, task) for task in tasks], description)


def _compute(calls: list[tuple[Callable[[Any], bytes], Any]], description: str) -> list[bytes]:
    name = description.replace(" ", "-").replace(":", "")
    run = uuid4().hex[:8]
    delayed = [
        dask.delayed(call, pure=False, traverse=False)(argument, dask_key_name=f"{name}-{run}-{i}")
        for i, (call, argument) in enumerate(calls)
    ]
    return list(dask.compute(*delayed, retries=_RETRIES))
