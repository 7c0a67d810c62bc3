"""Modules that are imported on first use: importing asyncio alone takes longer than this whole package, and programs with an
event loop have already imported it. `custom`, `store`, `types` and `values` are modules of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["asyncio", "custom", "dataclasses", "json", "logging", "pathlib", "sqlite3", "store", "types", "values"]

if TYPE_CHECKING:
    import asyncio
    import dataclasses
    import json
    import logging
    import pathlib
    import sqlite3

    from shardyfusion import _custom as custom
    from shardyfusion import _store as store
    from shardyfusion import _types as types
    from shardyfusion import _values as values
else:
    from importlib import import_module
    from types import ModuleType

    class LazyModule(ModuleType):
        def __getattr__(self, name):
            value = getattr(import_module(self.__name__), name)
            setattr(self, name, value)  # found without __getattr__ next time
            return value

    asyncio = LazyModule("asyncio")
    dataclasses = LazyModule("dataclasses")
    json = LazyModule("json")
    logging = LazyModule("logging")
    pathlib = LazyModule("pathlib")
    sqlite3 = LazyModule("sqlite3")
    custom = LazyModule("shardyfusion._custom")
    store = LazyModule("shardyfusion._store")
    types = LazyModule("shardyfusion._types")
    values = LazyModule("shardyfusion._values")
