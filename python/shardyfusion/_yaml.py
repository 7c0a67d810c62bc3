"""Flat mappings of scalars in YAML (https://yaml.org/spec/1.2.2/), as the records of runs are: one `name: value` after the other.
Nested values, anchors and tags are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from shardyfusion._text import describe

_ENTRY = re.compile(r"([A-Za-z_][A-Za-z0-9_]*):(?: +(.*))?$")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*$")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "false": False}
_ESCAPE = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))', re.DOTALL)
_CHARACTERS = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"} | {
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
}


def dump_flat(values: Mapping[str, Any]) -> str:
    """Returns the mapping as YAML, sorted by name."""
    return "".join(f"{name}: {_dump(values[name])}\n" for name in sorted(values))


def _dump(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN.match(text) and text.lower() not in ("null", "true", "false", "yes", "no", "on", "off", "y", "n"):
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text)


def load_flat(text: str) -> dict[str, Any]:
    """Parses a flat mapping. Raises `ValueError`."""
    return {name: _load(name, value) for name, value in _entries(text)}


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yields names and values; a line that is indented continues the value before it, and an empty one is a line break in it."""
    name, lines = None, [""]
    for line in text.splitlines():
        if line.startswith(("#", "%", "---", "...")):
            continue
        if not line.strip() or line[0] == " ":
            lines.append(line.strip())
            continue
        entry = _ENTRY.match(line)
        if entry is None:
            raise ValueError(f"YAML: expected `name: value`, found {describe(line)}")
        if name is not None:
            yield name, _fold(lines)
        name, lines = entry[1], [entry[2] or ""]
    if name is not None:
        yield name, _fold(lines)


def _fold(lines: list[str]) -> str:
    """Joins the lines of a value: by spaces, and by a line break for each empty one."""
    folded, breaks = lines[0], 0
    for line in lines[1:]:
        if not line:
            breaks += 1
        elif folded.endswith("\\") and not folded.endswith("\\\\"):
            folded, breaks = folded[:-1] + line.removeprefix("\\"), 0
        else:
            folded, breaks = folded + ("\n" * breaks or " ") + line, 0
    return folded


def _unescape(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    return chr(int(code, 16)) if code else _CHARACTERS.get(match[4], match[4])


def _load(name: str, value: str) -> Any:
    if value[:1] == "'" and len(value) > 1 and value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if value[:1] == '"' and len(value) > 1 and value[-1] == '"':
        # Surrogates are the two halves that JSON writes of a character beyond U+FFFF.
        halves = _ESCAPE.sub(_unescape, value[1:-1])
        return halves.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if value[:1] in tuple("[{&*!|>@`'\""):
        raise ValueError(f"YAML: {name}: expected a scalar, found {describe(value)}")
    value = value.partition(" #")[0].strip()
    if value in _WORDS:
        return _WORDS[value]
    return int(value) if re.fullmatch(r"[-+]?[0-9]+", value) else value
