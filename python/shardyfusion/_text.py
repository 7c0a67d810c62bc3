"""Descriptions of values for error messages: the type, and as much of the value as fits on a line."""

from __future__ import annotations

import reprlib
from typing import Any

_MAX_LENGTH = 160
_SHOWS_ITS_TYPE = (str, bytes, int, float, bool, type(None), list, tuple, dict, set, frozenset)

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 100
_short.maxlevel = 3
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = _short.maxfrozenset = 4


def shorten(text: str, length: int = _MAX_LENGTH) -> str:
    """Shortens a text that is longer than `length` in the middle."""
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"


def _size(value: Any) -> str:
    """Returns the size of a value that is too long to be shown completely."""
    if isinstance(value, (str, bytes)):
        return f" ({len(value):,} {'characters' if isinstance(value, str) else 'bytes'})" if len(value) > 100 else ""
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f" ({len(value):,} items)" if len(value) > 4 else ""  # pyright: ignore[reportUnknownArgumentType]
    return ""


def _array(value: Any) -> str | None:
    """Describes arrays, data frames and tensors by element type and shape."""
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not shape:
        return None
    sizes = ", ".join(map(str, shape))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    dtype = getattr(value, "dtype", None)
    of = "" if dtype is None else f" of {shorten(str(dtype), 80)}"
    if getattr(dtype, "byteorder", "=") == ">":
        of += " (big-endian)"
    return f"{type(value).__qualname__}{of}, shape ({sizes})"


def describe(value: Any) -> str:
    """Describes a value at the end of an error message. Catches exceptions of the value's own methods."""
    name = shorten(type(value).__qualname__, 80)
    try:
        text = _array(value)
        if text is not None:
            return shorten(text)
        text = shorten(_short.repr(value), 120) + _size(value)
    except Exception:
        return name
    shows = type(value) in _SHOWS_ITS_TYPE or text.startswith((name, "<"))
    return text if shows else f"{name} {text}"


def reason(error: BaseException) -> str:
    """Returns the message of an exception."""
    try:
        return shorten(str(error)) or type(error).__qualname__
    except Exception:
        return type(error).__qualname__


def shorten_message(message: str) -> str:
    return shorten(message, 1000)
