"""The names that code written for the format's first library imports: each is there, from the same module, with the same
parameters, defaults, fields, members and bases. `first_library_api.json` lists them as introspection found them."""

import dataclasses
import enum
import importlib
import inspect
import json
import re
from pathlib import Path

import pytest

API = json.loads((Path(__file__).parent / "first_library_api.json").read_text())

# Key-value data, which this library neither writes nor reads.
KEY_VALUE = re.compile(
    r"HashSharded\w*|CelSharded\w*|SingleDb\w*|KeyValueWriteConfig|KvWriteRateLimitConfig|PythonRecordInput|ColumnWriteInput"
    r"|(Python|Spark|Dask|Ray)WriteOptions|RetryConfig|WriterRetryConfig|BufferingOptions|SharedMemoryOptions"
    r"|BaseShardedWriteConfig|HashShardingConfig|CelShardingConfig"
    r"|(Async|Concurrent|Unified|AsyncUnified)?Sharded(Reader)|ReaderHealth|SnapshotInfo|ShardDetail"
    r"|\w*SlateDb\w*|BridgeTimeoutError|(apply|materialize|remove|resolve)_env_file"
    r"|DbAdapter(Factory)?|(Async)?ShardReader\w*|SnapshotRouter|(Sqlite)?ShardLookup|\w*Ordering\w*|KeyInput|ValueSpec"
    r"|(Async)?Adaptive\w*"
)
# Objects that only their factories make, and types that nothing uses.
MADE_BY_FACTORIES = re.compile(
    r"SqliteVecAdapter|(Async)?SqliteVec(Range)?ShardReader|LanceDbWriter|(Async)?LanceDbShardReader|Hnsw\w+"
)
KEY_VALUE_EVENTS = re.compile(r"(WRITE|SHARD|READER)_\w+|SHARDING_COMPLETED|BATCH_WRITTEN|(MANIFEST|CURRENT)_PUBLISHED")


def _is_in_scope(name):
    return not KEY_VALUE.fullmatch(name) and not MADE_BY_FACTORIES.fullmatch(name)


# The writers of the engines have tests of their own: importing them needs the engines.
NAMES = [
    (module, name)
    for module, names in API.items()
    for name in names
    if _is_in_scope(name) and not module.startswith("shardyfusion.writer.")
]


def _named(module, name):
    return getattr(importlib.import_module(module), name)


def _described(module, name):
    """The description of a name, and of what it is an alias for."""
    described = API[module][name]
    while "same_as" in described:
        module, _, name = described["same_as"].rpartition(".")
        described = API[module][name]
    return described


def _split(parameters):
    """Splits the text of parameters at commas outside of brackets and quotes."""
    parts, depth, quote, part = [], 0, "", ""
    for character in parameters:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        if character == "," and depth == 0 and not quote:
            parts.append(part.strip())
            part = ""
        else:
            part += character
    return [*parts, part.strip()] if part.strip() else parts


def _parameters(signature):
    """(name, kind, default or None) of each parameter in the text of a signature."""
    inside = signature[signature.index("(") + 1 : signature.rindex(")")] if "->" not in signature else None
    if inside is None:
        depth = 0
        for i, character in enumerate(signature):
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth == 0 and character == ")":
                inside = signature[signature.index("(") + 1 : i]
                break
    kind = "positional"
    for part in _split(inside):
        if part == "*":
            kind = "keyword"
            continue
        name, _, rest = part.partition(":")
        default = None
        if "=" in (rest or name):
            before, _, default = (rest or name).rpartition(" = ") if " = " in (rest or name) else (rest or name).partition("=")
            name = name if rest else before
        if name.startswith("**"):
            yield name[2:].strip(), "variable keywords", None
        elif name.startswith("*"):
            yield name[1:].strip(), "variable", None
            kind = "keyword"
        else:
            yield name.strip(), kind, default and default.strip()


def _shown(default):
    """A default as the list shows it: `()` for anything empty, `...` for one without a literal."""
    if isinstance(default, enum.Enum):
        return f"{type(default).__name__}.{default.name}"
    if not isinstance(default, bool) and default in ({}, [], ()):
        return "()"
    return repr(default)


def _check_signature(what, expected, found):
    accepted = found.parameters
    takes_keywords = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    positions = [p.name for p in accepted.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    position = 0
    needed = {p.name for p in accepted.values() if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    for name, kind, default in _parameters(expected):
        if name == "self" or name == "cls":
            continue
        if kind == "variable keywords":
            assert takes_keywords or len(accepted) > 2, f"{what}: no **{name}"
            continue
        if kind == "variable":
            assert any(p.kind is p.VAR_POSITIONAL for p in accepted.values()), f"{what}: no *{name}"
            continue
        assert name in accepted or takes_keywords, f"{what}: no parameter {name}"
        if kind == "positional":
            assert positions[position : position + 1] == [name], f"{what}: parameter {position} is not {name}: {positions}"
            position += 1
        if name not in accepted:
            continue
        needed.discard(name)
        if default is None:
            continue
        parameter = accepted[name]
        assert parameter.default is not parameter.empty, f"{what}: {name} has no default"
        if "." in default and not default.startswith(("'", "datetime")) and not default.replace(".", "").isdigit():
            pass  # a member of an enumeration, or a call
        elif default not in ("...", "()") and not default.startswith("datetime") and "(" not in default:
            shown = _shown(parameter.default)
            assert shown in (default, "<factory>"), f"{what}: {name} has the default {shown}"
    assert not needed, f"{what}: needs {needed} besides"


def _check_methods(what, described, found):
    for method, signature in described.get("methods", {}).items():
        assert hasattr(found, method), f"{what}: no {method}"
        if signature.startswith("property"):
            continue
        member = inspect.getattr_static(found, method)
        function = getattr(found, method)
        is_bound = isinstance(member, (classmethod, staticmethod))
        own = inspect.signature(function)
        if not is_bound:
            own = own.replace(parameters=list(own.parameters.values())[1:])
        if method not in ("__exit__", "__aexit__"):
            _check_signature(f"{what}.{method}", signature, own)
        is_async = signature.split("(")[0].strip().endswith("async")
        assert inspect.iscoroutinefunction(function) == is_async, f"{what}.{method}: a coroutine function or not"


@pytest.mark.parametrize("module, name", NAMES, ids=lambda text: text)
def test_a_name_of_the_first_library_is_there_as_it_was(module, name):
    found, described = _named(module, name), _described(module, name)
    what = f"{module}.{name}"
    kind = described["kind"]
    if kind == "enum":
        members = {member.name: member.value for member in found}
        wanted = {
            member: value
            for member, value in described["members"].items()
            if name != "MetricEvent" or not KEY_VALUE_EVENTS.fullmatch(member)
        }
        assert wanted.items() <= members.items()
        assert issubclass(found, str)
        return
    if kind == "exception":
        assert {base.__name__ for base in found.__mro__} >= set(described["bases"])
        for attribute, value in described.get("attributes", {}).items():
            assert getattr(found, attribute) == value
        if "signature" in described:
            _check_signature(what, described["signature"], inspect.signature(found))
        return
    if kind == "constant":
        if name.endswith("_RE"):
            assert repr(found) == described["value"]
        else:
            assert described["value"] in (found, repr(found), str(found))
        return
    if kind in ("dataclass", "model"):
        fields = [field.name for field in dataclasses.fields(found)]
        assert fields[: len(described["fields"])] == described["fields"]
    if "signature" in described and kind in ("class", "dataclass", "model", "function"):
        _check_signature(what, described["signature"], inspect.signature(found))
    _check_methods(what, described, found)


@pytest.mark.parametrize("module", sorted({module for module, _ in NAMES}))
def test_names_can_be_imported_with_a_star(module):
    wanted = {name for owner, name in NAMES if owner == module}
    assert wanted <= set(importlib.import_module(module).__all__) | set(dir(importlib.import_module(module)))
