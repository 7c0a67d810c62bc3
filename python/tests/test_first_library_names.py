"""The names that code written for the format's first library imports: each is there, from the same module, with the same
parameters, defaults, fields, members and bases. `first_library_api.json` lists them as introspection found them."""

import ast
import dataclasses
import enum
import importlib
import inspect

import pytest
from first_library_api import NAMES, described, members, signature


def _named(module, name):
    return getattr(importlib.import_module(module), name)


def _parameters(text):
    """(name, kind, default's text or None) of each parameter in the text of a signature."""
    arguments = signature(text).args
    positional = arguments.posonlyargs + arguments.args
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    for argument, default in zip(positional, defaults, strict=True):
        yield argument.arg, "positional", default and ast.unparse(default)
    if arguments.vararg:
        yield arguments.vararg.arg, "variable", None
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield argument.arg, "keyword", default and ast.unparse(default)
    if arguments.kwarg:
        yield arguments.kwarg.arg, "variable keywords", None


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
        if default != "...":
            shown = _shown(parameter.default)
            assert shown in (default, "<factory>"), f"{what}: {name} has the default {shown}"
    assert not needed, f"{what}: needs {needed} besides"


def _check_methods(what, description, found):
    for method, text in description.get("methods", {}).items():
        assert hasattr(found, method), f"{what}: no {method}"
        if text.startswith("property"):
            continue
        member = inspect.getattr_static(found, method)
        function = getattr(found, method)
        is_bound = isinstance(member, (classmethod, staticmethod))
        own = inspect.signature(function)
        if not is_bound:
            own = own.replace(parameters=list(own.parameters.values())[1:])
        if method not in ("__exit__", "__aexit__"):
            _check_signature(f"{what}.{method}", text, own)
        is_async = isinstance(signature(text), ast.AsyncFunctionDef)
        assert inspect.iscoroutinefunction(function) == is_async, f"{what}.{method}: a coroutine function or not"


@pytest.mark.parametrize("module, name", NAMES, ids=lambda text: text)
def test_a_name_of_the_first_library_is_there_as_it_was(module, name):
    found, description = _named(module, name), described(module, name)
    what = f"{module}.{name}"
    kind = description["kind"]
    if kind == "enum":
        values = {member.name: member.value for member in found}
        assert members(name, description).items() <= values.items()
        assert issubclass(found, str)
        return
    if kind == "exception":
        assert {base.__name__ for base in found.__mro__} >= set(description["bases"])
        for attribute, value in description.get("attributes", {}).items():
            assert getattr(found, attribute) == value
        if "signature" in description:
            _check_signature(what, description["signature"], inspect.signature(found))
        return
    if kind == "constant":
        if name.endswith("_RE"):
            assert repr(found) == description["value"]
        else:
            assert description["value"] in (found, repr(found), str(found))
        return
    if kind in ("dataclass", "model"):
        fields = [field.name for field in dataclasses.fields(found)]
        assert fields[: len(description["fields"])] == description["fields"]
    if "signature" in description and kind in ("class", "dataclass", "model", "function"):
        _check_signature(what, description["signature"], inspect.signature(found))
    _check_methods(what, description, found)


@pytest.mark.parametrize("module", sorted({module for module, _ in NAMES}))
def test_names_can_be_imported_with_a_star(module):
    wanted = {name for owner, name in NAMES if owner == module}
    assert wanted <= set(importlib.import_module(module).__all__) | set(dir(importlib.import_module(module)))
