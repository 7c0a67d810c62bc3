"""JSON from Python objects: payloads and the variables of routing expressions."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import ipaddress
import json
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from shardyfusion._text import describe

_AS_TEXT = (
    datetime.date,  # and datetime
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    enum.Enum,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
)


def _is_missing(value: Any) -> bool:
    """Whether a value is NaT or NA, which mean no value for any type."""
    return type(value).__name__ in ("NaTType", "NAType") or bool(value != value)


def _plain(value: Any) -> Any:
    """Converts a value that has no JSON representation."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"__bytes_hex__": value.hex()}
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, Mapping):
        return dict(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if callable(getattr(value, "as_py", None)):  # a scalar of pyarrow
        return value.as_py()
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", None) in ("M", "m") and getattr(value, "shape", None) == ():
        return None if _is_missing(value) else str(value)
    for convert in (getattr(value, "tolist", None), getattr(value, "to_list", None)):  # arrays and their scalars
        if dtype is not None and callable(convert):
            return convert()
    if isinstance(value, Sequence):
        return list(value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    raise TypeError(f"{type(value).__qualname__} has no form in JSON: {describe(value)}")


dumps = json.JSONEncoder(default=_plain, allow_nan=False).encode
_dumps_nan = json.JSONEncoder(default=_plain).encode
_STRING_OR_NAN = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)')


def _null_for_nan(token: re.Match[str]) -> str:
    return "null" if token[1] else token[0]


def _named_items(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, member in value.items():
        if not isinstance(name, str):
            raise TypeError(f"expected names that are strings, found {describe(name)}")
        found[name] = member
    return found


def dump_payload(payload: Any) -> str:
    """Serializes a payload: any mapping, or a row of a data frame, which has names for its values. NaN and infinities become
    null, which JSON lacks, as in Arrow columns."""
    if not isinstance(payload, Mapping):
        if not callable(getattr(payload, "items", None)):
            raise TypeError(f"expected a JSON object, found {describe(payload)}")
        payload = _named_items(payload)
    try:
        return dumps(payload)
    except ValueError:  # a number that is not finite, or a mapping that contains itself, which fails again
        return _STRING_OR_NAN.sub(_null_for_nan, _dumps_nan(payload))


def _variable(value: Any) -> Any:
    """As _plain; what has no form in JSON, and can't be a variable, is named by its type."""
    try:
        return _plain(value)
    except TypeError:
        return {"__python_type__": type(value).__qualname__}


_dumps_variables = json.JSONEncoder(default=_variable, allow_nan=False, skipkeys=True).encode


def dump_context(context: Any) -> str:
    """Serializes variables by name; bytes become {"__bytes_hex__": "00ff"}. Expressions have no variables whose names are not
    strings, or whose values have no form in JSON: those are not looked at unless an expression names them."""
    named = {name: value for name, value in context.items() if isinstance(name, str)}
    try:
        return _dumps_variables(named)
    except ValueError:  # numbers that are not finite, or values that contain themselves
        return _dumps_variables({name: value for name, value in named.items() if _is_encodable(value)})


def _is_encodable(value: Any) -> bool:
    try:
        _dumps_variables(value)
    except ValueError:
        return False
    return True
