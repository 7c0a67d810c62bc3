"""Arguments that are paths or URLs."""

from __future__ import annotations

import os
from typing import Any

from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError


def path_option(name: str, value: Any) -> str:
    """Checks a path or URL and expands a leading `~`."""
    try:
        path = os.fsdecode(value)
        is_text = bool(path) and "\0" not in path and bool(path.encode())
    except (TypeError, UnicodeError):
        path, is_text = "", False
    if not is_text:
        raise ConfigValidationError(f"{name}: expected a path or URL that UTF-8 has and no NUL, found {describe(value)}")
    if path != "~" and not path.startswith("~/"):
        return path
    home = os.path.expanduser(path)
    if home == path:
        raise ConfigValidationError(f"{name}: expected HOME to name the home folder of {describe(path)}, found none")
    return home
