"""Converts arrays, columns and data frames of other libraries for the extension module, by position.

A value that has no order, or labels instead of positions, is refused: these functions return a description of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MappingView, Set
from itertools import islice
from typing import Any

from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError

_MAX_COMPONENTS = 1 << 20
"""More than any vector has: iterating over an endless iterator stops here."""


def _dimensions(value: Any) -> int | None:
    """Returns the number of dimensions, or None if the value does not say."""
    dimensions = getattr(value, "ndim", None)
    if isinstance(dimensions, int):
        return dimensions
    shape: Any = getattr(value, "shape", None)
    return len(shape) if isinstance(shape, tuple) else None  # pyright: ignore[reportUnknownArgumentType]


def _is_masked(value: Any) -> bool:
    """Whether a masked array hides some of its values."""
    if not callable(getattr(value, "filled", None)):
        return False
    mask: Any = getattr(value, "mask", False)
    return bool(mask.any() if hasattr(mask, "any") else mask)


def _obstacle(value: Any) -> str | None:
    """Says why the value's items have no order, or returns None if they have one."""
    if isinstance(value, (str, bytes, bytearray)):
        return describe(value)
    if isinstance(value, Set) and not isinstance(value, MappingView):
        return f"{type(value).__qualname__}, which has no order"  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    if isinstance(value, Mapping):
        return f"{type(value).__qualname__}, which has keys"  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    if _is_masked(value):
        return f"{describe(value)}, with masked values"
    labelled = hasattr(value, "columns") or (hasattr(value, "keys") and hasattr(value, "__getitem__"))
    if _dimensions(value) is None and labelled:
        return f"{describe(value)}, which has labels"
    return None


def _own_array(value: Any) -> Any:
    """Converts the value to a NumPy array by its own method; gives a description on failure, None without a method."""
    if not hasattr(value, "__array__") and not hasattr(value, "__dlpack__"):
        return None
    try:
        import numpy
    except ImportError:
        return f"{describe(value)}, which takes NumPy to be read"
    try:
        if callable(getattr(value, "detach", None)):  # a tensor that may record gradients
            value = value.detach()
        if not hasattr(value, "__array__"):
            return numpy.from_dlpack(value)
        try:
            array = value.__array__()
        except TypeError:
            if not callable(getattr(value, "float", None)):
                raise
            array = value.float().__array__()  # a tensor of numbers that NumPy doesn't know
    except (TypeError, ValueError, RuntimeError, BufferError, AttributeError) as error:
        return f"{describe(value)}, whose conversion to an array failed: {describe(str(error))}"
    if not isinstance(array, numpy.ndarray):
        return f"{type(value).__qualname__}, whose __array__() gave {describe(array)}"
    return array  # pyright: ignore[reportUnknownVariableType]


def _is_foreign(dtype: Any) -> bool:
    """Whether a dtype is a number type that another package added to NumPy, such as bfloat16."""
    return dtype.kind == "V" and dtype.names is None and dtype.type.__name__ != "void"


def _numbers(array: Any) -> Any:
    """Converts an array of numbers for the extension. Arrays of objects are unchanged; others give a description."""
    if array.dtype.kind in "fiubO" and array.dtype.itemsize <= 8:
        return array
    if array.dtype.kind == "f":
        return array.astype("float64")
    return array.astype("float32") if _is_foreign(array.dtype) else describe(array)


def _bad_component(value: Any) -> str | None:
    """Describes the first component that is not a number."""
    for i, component in enumerate(value):
        try:
            float(component)
        except (TypeError, ValueError, OverflowError):
            return f"component {i}: {describe(component)}"
    return None


def vector(value: Any) -> Any:
    """Converts one vector to a buffer of one dimension or a list of numbers; returns a description if it is neither."""
    found = _obstacle(value)
    if found is not None:
        return found
    array = _own_array(value)
    if isinstance(array, str):
        return array
    if array is not None:
        if array.ndim != 1:
            return describe(value)
        plain = _numbers(array)
        return plain.tolist() if not isinstance(plain, str) and plain.dtype.kind == "O" else plain
    if _dimensions(value) not in (None, 1):
        return describe(value)
    if callable(getattr(value, "as_py", None)):  # a pyarrow scalar that is a list
        value = value.as_py()
    if not isinstance(value, Iterable) and not hasattr(value, "__getitem__"):
        return describe(value)
    components = list(islice(iter(value), _MAX_COMPONENTS + 1))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if len(components) > _MAX_COMPONENTS:  # pyright: ignore[reportUnknownArgumentType]
        return f"{describe(value)}, which gave more than {_MAX_COMPONENTS:,} components"
    return components  # pyright: ignore[reportUnknownVariableType]


def not_numbers(value: Any) -> str:
    """Says why a value is not a sequence of numbers."""
    obstacle = _obstacle(value)
    if obstacle is not None:
        return obstacle
    bad = _bad_component(value)
    return describe(value) if bad is None else f"{type(value).__qualname__} with {bad}"


def matrix(value: Any) -> Any:
    """Converts vectors to a buffer of two dimensions or a list of vectors; returns a description if they are neither."""
    found = _obstacle(value)
    array = None if found is not None and not hasattr(value, "columns") else _own_array(value)
    if isinstance(array, str):
        return array
    if array is not None and not _is_masked(value):
        plain = _numbers(array)
        if isinstance(plain, str) or plain.ndim not in (1, 2) or (plain.ndim == 1 and plain.dtype.kind != "O"):
            return describe(value)
        return list(plain) if plain.dtype.kind == "O" else plain
    if found is not None:
        return found
    if _dimensions(value) not in (None, 1):
        return describe(value)
    if callable(getattr(value, "to_pylist", None)):
        return value.to_pylist()
    try:
        return [row for row in value]  # not list(), which relies on __len__
    except TypeError:
        return describe(value)


def scalar(value: Any) -> Any:
    """Converts a scalar of an array library to a Python value; returns other values unchanged."""
    if callable(getattr(value, "as_py", None)):
        return value.as_py()
    if hasattr(value, "dtype") and callable(getattr(value, "item", None)) and _dimensions(value) in (None, 0):
        return value.item()
    return value


def shard_ids(value: Any) -> tuple[Any, ...] | str:
    """Returns the shards to search, in any order, or a description of a value that is not a collection."""
    found = None if isinstance(value, Set) else _obstacle(value)
    if found is not None:
        return found
    if _dimensions(value) not in (None, 1):
        return describe(value)
    try:
        return tuple([shard_id for shard_id in value])  # pyright: ignore[reportUnknownVariableType]
    except TypeError:
        return describe(value)


def row_ids(value: Any) -> tuple[int | str, ...]:
    """Returns ids, in order: of rows to fetch."""
    found: list[int | str] = []
    for i, given in enumerate(ordered("ids", value, "integers or strings in order")):
        plain: Any = given if isinstance(given, (int, str)) else scalar(given)
        if isinstance(plain, bool) or not isinstance(plain, (int, str)):
            raise ConfigValidationError(f"ids: expected integers or strings, found {describe(given)} at position {i}")
        found.append(plain)
    return tuple(found)


def split(queries: Any) -> list[Any]:
    """Splits queries into a list of single queries."""
    if isinstance(queries, (list, tuple)):
        return list(queries)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    found = matrix(queries) if not isinstance(queries, memoryview) else queries.tolist()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(found, str):
        raise ConfigValidationError(f"queries: expected an array of two dimensions, or queries one by one, found {found}")
    return list(found)


def ordered(name: str, values: Any, expected: str = "values in order") -> Any:
    """Returns the values after checking that they have an order."""
    found = _obstacle(values)
    if found is None and _dimensions(values) not in (None, 1):
        found = describe(values)
    if found is None and not isinstance(values, Iterable) and not hasattr(values, "__getitem__"):
        found = describe(values)
    if found is not None:
        raise ConfigValidationError(f"{name}: expected {expected}, found {found}")
    return values  # pyright: ignore[reportUnknownVariableType]


def names(name: str, values: Any) -> list[str]:
    """Returns names of columns: the keys of a mapping, or the values themselves."""
    found = list(values if isinstance(values, Mapping) else ordered(name, values, "names of columns"))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    for value in found:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(value, str):
            raise ConfigValidationError(f"{name}: expected names of columns, found {describe(value)}")
    return found  # pyright: ignore[reportUnknownVariableType]


def column(name: str, values: Any, count: int) -> Iterator[Any] | None:
    """Returns an iterator of the values for `count` vectors, in order; None for None."""
    if values is None:
        return None
    ordered(name, values, f"{count} values in order")
    if hasattr(values, "__len__") and len(values) != count:
        raise ConfigValidationError(f"{name}: expected {count}, one for each vector, found {len(values)}")
    iterator: Iterator[Any] = iter(values)
    return iterator


_END = object()


def finish_column(name: str, values: Iterator[Any] | None, count: int) -> None:
    """Fails if there are more values than vectors."""
    if values is not None and next(values, _END) is not _END:
        raise ConfigValidationError(f"{name}: expected {count}, one for each vector, found more")


def _stack(array: Any) -> Any:
    """Converts lists or arrays, one per row, to an array of two dimensions; None if they are neither."""
    import numpy

    if array.size == 0 or not isinstance(array.flat[0], (numpy.ndarray, list, tuple)):
        return None
    try:
        return numpy.stack([numpy.asarray(row, dtype=numpy.float32) for row in array])  # pyright: ignore[reportUnknownVariableType]
    except (TypeError, ValueError) as error:
        raise ConfigValidationError(f"vectors: expected rows of numbers of one length: {describe(str(error))}") from None


def rows(value: Any) -> Any:
    """Returns an array of two dimensions with one vector per row; None if the value is a table or records."""
    if isinstance(value, (list, tuple, Iterator)) or hasattr(value, "columns"):
        return None
    if _is_masked(value):
        raise ConfigValidationError(f"vectors: expected none that are masked, found {describe(value)}")
    array = _own_array(value)
    if array is None:
        return value if _is_buffer_of_rows(value) else None
    if isinstance(array, str):
        raise ConfigValidationError(f"vectors: expected an array of numbers, found {array}")
    if array.ndim == 1 and array.dtype.kind == "O":
        return _stack(array)
    if array.ndim != 2:
        return None
    if array.dtype.kind not in "fiub" and not _is_foreign(array.dtype):
        raise ConfigValidationError(f"vectors: expected an array of numbers, found {describe(value)}")
    return array


def _is_buffer_of_rows(value: Any) -> bool:
    try:
        with memoryview(value) as view:
            return view.ndim == 2
    except (TypeError, ValueError, BufferError):
        return False


def is_readable(array: Any) -> bool:
    """Whether the extension can read the array in place."""
    return _is_buffer_of_rows(array) and getattr(getattr(array, "dtype", None), "itemsize", 0) <= 8


def in_slices(array: Any, size: int) -> Iterator[tuple[Any, int]]:
    """Yields an array of rows and the first row to read: the array itself if the extension can read it in place, else slices
    that are converted on demand."""
    if is_readable(array):
        for first in range(0, len(array), size):
            yield array, first
        return
    for first in range(0, len(array), size):
        part = array[first : first + size]
        yield part.astype("float64" if part.dtype.kind == "f" else "float32"), 0


def table(value: Any) -> Any:
    """Returns the value as a table with `__arrow_c_stream__`, or None if it is not a table.

    A Hugging Face dataset is read in batches, because its table ignores `select` and `filter`.
    """
    if callable(getattr(value, "with_format", None)) and hasattr(value, "features") and hasattr(value, "iter"):
        return _dataset_batches(value)
    return value if hasattr(value, "__arrow_c_stream__") else None


def _dataset_batches(dataset: Any) -> Any:
    import pyarrow  # type: ignore[import-untyped,unused-ignore]  # pyright: ignore[reportMissingTypeStubs]

    batches = dataset.with_format("arrow").iter(batch_size=1000)
    first = next(batches, None)
    schema = dataset.features.arrow_schema if first is None else first.schema

    def parts() -> Iterator[Any]:
        if first is not None:
            yield from first.to_batches()
        for batch in batches:
            yield from batch.cast(schema).to_batches()

    return pyarrow.RecordBatchReader.from_batches(schema, parts())  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def zone_seconds(zone: str, seconds: int) -> int:
    """Returns the UTC offset of a time zone at a time, in seconds; 0 if either is unknown."""
    from datetime import datetime, timezone
    from zoneinfo import ZoneInfo

    try:
        offset = datetime.fromtimestamp(seconds, timezone.utc).astimezone(ZoneInfo(zone)).utcoffset()
    except (OverflowError, ValueError, KeyError, OSError):
        return 0
    return 0 if offset is None else round(offset.total_seconds())
