"""Writes a program that uses each name of the format's first library as its types say: calls every constructor, function and method
with arguments of the listed types, and takes the listed type from it. Type checkers read it; nothing runs it."""

import ast

from first_library_api import API, NAMES, described, is_in_scope, members, signature

HEADER = """\
# ruff: noqa
import datetime
import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from logging import Logger, LogRecord
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import Any, Literal, Self

import numpy.typing as npt
"""

# Types that the list names and does not describe: where they are, or what takes their place.
PLACES = {
    "StorageBackend": "shardyfusion.storage.StorageBackend",
    "AsyncStorageBackend": "shardyfusion.storage.AsyncStorageBackend",
    "RoutingValue": "int | str | bytes",
    "PageSizeMode": "Literal['auto'] | int",
    "MeterProvider": "Any",
    "CollectorRegistry": "Any",
    "_HasShardIdCol": "shardyfusion.vector.VectorColumnInput",
    "_RunRecordConfig": "shardyfusion.vector.VectorShardedWriteConfig",
}
DEFINED = {name: module for module, names in API.items() for name, entry in names.items() if "same_as" in entry}
DEFINED |= {name: module for module, names in API.items() for name, entry in names.items() if "same_as" not in entry}

# Fields that take more types than they did, and so give what the caller put in; and a result's vector, which is a memoryview.
WIDER = {
    "SearchResult": {"vector"},
    "SqliteVecFactory": {"vector_spec"},
    "VectorAdapterConfig": {"reader_factory"},
    "VectorColumnInput": {"payload_cols", "routing_context_cols"},
    "VectorIndexConfig": {"index_params"},
    "VectorRecord": {"vector", "payload", "routing_context"},
    "VectorShardingConfig": {"centroids", "hyperplanes", "cel_columns", "routing_values"},
    "VectorShardingSpec": {"centroids", "hyperplanes", "cel_columns", "routing_values"},
    "VectorSpecSharding": {"centroids", "hyperplanes", "cel_columns", "routing_values"},
    "WriterManifestConfig": {"custom_manifest_fields"},
    "WriterOutputConfig": {"local_root"},
    "WriterStorageConfig": {"s3_prefix"},
}



class _Qualify(ast.NodeTransformer):
    """Names in annotations become their full names; what is out of scope becomes Any."""

    def visit_Name(self, node):
        name = node.id
        if name in PLACES:
            return ast.parse(PLACES[name], mode="eval").body
        if name == "datetime":
            return ast.parse("datetime.datetime", mode="eval").body
        if name not in DEFINED:
            return node
        return ast.parse(f"{DEFINED[name]}.{name}" if is_in_scope(name) else "Any", mode="eval").body

    def visit_Constant(self, node):
        # A quoted name of a type; the values of a Literal are none.
        return self.visit(ast.parse(node.value, mode="eval").body) if node.value in DEFINED else node

    def visit_Attribute(self, node):
        # The list writes np.ndarray without what it holds.
        if ast.unparse(node) == "np.ndarray":
            return ast.parse("npt.NDArray[Any]", mode="eval").body
        if ast.unparse(node) == "datetime.datetime":
            return node
        return self.generic_visit(node)


def _type(annotation):
    return "Any" if annotation is None else ast.unparse(_Qualify().visit(annotation))


def _call(number, callee, text, owner=None, result=None):
    """A function with the parameters of `text`, which calls `callee` with them."""
    function = signature(text)
    arguments = function.args
    positional = [a for a in arguments.posonlyargs + arguments.args if a.arg not in ("self", "cls")]
    parameters = [f"{a.arg}: {_type(a.annotation)}" for a in positional]
    passed = [a.arg for a in positional]
    if arguments.vararg:
        parameters.append(f"*{arguments.vararg.arg}: {_type(arguments.vararg.annotation)}")
        passed.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        parameters.append("*")
    parameters += [f"{a.arg}: {_type(a.annotation)}" for a in arguments.kwonlyargs]
    passed += [f"{a.arg}={a.arg}" for a in arguments.kwonlyargs]
    if arguments.kwarg:
        parameters.append(f"**{arguments.kwarg.arg}: {_type(arguments.kwarg.annotation)}")
        passed.append(f"**{arguments.kwarg.arg}")
    if owner:
        parameters.insert(0, f"this: {owner}")
        callee = f"this.{callee}"
    result = result or _type(function.returns).replace("Self", owner or "Any")
    is_async = isinstance(function, ast.AsyncFunctionDef)
    call = f"{'await ' if is_async else ''}{callee}({', '.join(passed)})"
    body = call if result == "None" else f"return {call}"
    head = "async def" if is_async else "def"
    return f"{head} use_{number}({', '.join(parameters)}) -> {result}:\n    {body}\n"


def _uses(number, module, name):
    """The functions that use one name."""
    description, path = described(module, name), f"{module}.{name}"
    kind = description["kind"]
    if kind == "constant":
        yield f"def use_{number}() -> object:\n    return {path}\n"
    elif kind == "enum":
        for i, member in enumerate(members(name, description)):
            yield f"def use_{number}_{i}() -> {path}:\n    return {path}.{member}\n"
    elif kind in ("alias", "typeddict"):
        yield f"def use_{number}(value: {path}) -> {path}:\n    return value\n"
        for i, (field, type_name) in enumerate(description.get("fields", {}).items() if kind == "typeddict" else ()):
            yield f"def use_{number}_{i}(value: {type_name}) -> {path}:\n    return {{'{field}': value}}\n"
    elif kind == "exception":
        yield _call(number, path, description.get("signature", "(message: str)"), result=path)
    elif kind == "function":
        yield _call(number, path, description["signature"])
    elif kind != "protocol":
        yield _call(number, path, description.get("signature", "()"), result=path)
        arguments = signature(description.get("signature", "()")).args
        types = {each.arg: each.annotation for each in arguments.args + arguments.kwonlyargs}
        for i, field in enumerate(description.get("fields", ())):
            result = "object" if field in WIDER.get(name, ()) else _type(types[field])
            yield f"def field_{number}_{i}(this: {path}) -> {result}:\n    return this.{field}\n"
    for i, (method, text) in enumerate(description.get("methods", {}).items()):
        if text.startswith("property"):
            yield f"def use_{number}_method_{i}(this: {path}) -> object:\n    return this.{method}\n"
        elif method in ("__enter__", "__exit__", "__aenter__", "__aexit__"):
            continue
        elif text.startswith("classmethod"):
            yield _call(f"{number}_method_{i}", f"{path}.{method}", text)
        else:
            yield _call(f"{number}_method_{i}", method, text, owner=path)


def program():
    imports = "".join(f"import {module}\n" for module in sorted({module for module, _ in NAMES}))
    uses = (use for number, (module, name) in enumerate(NAMES) for use in _uses(number, module, name))
    return f"{HEADER}{imports}import shardyfusion.storage\n\n" + "\n\n".join(uses)


if __name__ == "__main__":
    print(program())
