"""Modules that are imported when something of them is first used: asyncio alone takes longer than all of this package,
and whoever has a loop has it already."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio as asyncio
    import json as json
    import logging as logging
    import pathlib as pathlib
    import sqlite3 as sqlite3
else:
    from importlib import import_module
    from types import ModuleType

    class LazyModule(ModuleType):
        def __getattr__(self, name):
            value = getattr(import_module(self.__name__), name)
            setattr(self, name, value)  # found at once the next time
            return value

    asyncio = LazyModule("asyncio")
    json = LazyModule("json")
    logging = LazyModule("logging")
    pathlib = LazyModule("pathlib")
    sqlite3 = LazyModule("sqlite3")
