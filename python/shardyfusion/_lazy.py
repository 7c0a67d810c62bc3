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
