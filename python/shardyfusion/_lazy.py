"""Modules that are imported on first use: importing asyncio alone takes longer than this whole package, and programs with an
event loop have already imported it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["asyncio", "dataclasses", "json", "lazy_module", "logging", "pathlib", "sqlite3"]


def lazy_module(name: str) -> ModuleType:
    """Returns a module whose attributes import the module `name` when they are first read."""
    from importlib import import_module
    from types import ModuleType

    class LazyModule(ModuleType):
        def __getattr__(self, attribute: str) -> object:
            value = getattr(import_module(name), attribute)
            setattr(self, attribute, value)  # found without __getattr__ next time
            return value

    return LazyModule(name)


class LazyFields:
    """The `__dataclass_fields__` of a type that is not made in Python: made when `dataclasses` asks for them, so that its functions
    (`asdict`, `replace`, `fields`) take the type's instances."""

    def __init__(self, defaults: dict[str, str | None]) -> None:
        self._defaults = defaults
        self._fields: dict[str, object] | None = None

    @classmethod
    def add_to(cls, kind: type, **fields: str | None) -> None:
        """Adds them to a type: the fields in order, of which those with None have that as their default."""
        kind.__dataclass_fields__ = cls(fields)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]

    def __get__(self, instance: object, owner: type) -> dict[str, object]:
        if self._fields is not None:
            return self._fields
        from dataclasses import MISSING, field, make_dataclass

        named = [
            (name, object, field(default=None if default is None else MISSING))
            for name, default in self._defaults.items()
        ]
        made: dict[str, object] = getattr(make_dataclass(owner.__name__, named, frozen=True), "__dataclass_fields__")
        self._fields = made
        return made


if TYPE_CHECKING:
    import asyncio
    import dataclasses
    import json
    import logging
    import pathlib
    import sqlite3
else:
    asyncio = lazy_module("asyncio")
    dataclasses = lazy_module("dataclasses")
    json = lazy_module("json")
    logging = lazy_module("logging")
    pathlib = lazy_module("pathlib")
    sqlite3 = lazy_module("sqlite3")
