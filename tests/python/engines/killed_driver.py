"""Writes a snapshot of new rows at a root, in this process; the parent kills it at some moment."""

import sys

from local_engine import LocalEngine
from rows import columns, config, table
from shardyfusion.writer import _driver

root, seed = sys.argv[1:]
rows = LocalEngine(table(2000, int(seed)))
settings = config(root, "lsh")
print("ready", flush=True)
_driver.write(rows, settings, columns("lsh"), None)
print("written", flush=True)
