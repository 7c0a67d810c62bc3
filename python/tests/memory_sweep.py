"""Lets allocations fail one after another while the package is used: those of the extension and of what it calls, with
the library that test_memory.py preloads; and the interpreter's own, with its test module's hook.

    memory_sweep.py library|interpreter ROOT FOLDER STRIDE
"""

import asyncio
import ctypes
import itertools
import os
import shutil
import sys

import numpy as np
from shardyfusion.vector.async_reader import AsyncShardedVectorReader
from shardyfusion.vector.reader import ShardedVectorReader
from shardyfusion.vector.writer import write_sharded  # noqa: F401  so that no import is part of what is swept

CALLERS = b"_core,sqlite3,jansson,curl,pcre2,protobuf,expat,crypto,zstd,lz4"


def plain(response):
    """All that a response holds, as objects of Python's own."""
    return [(result.id, result.score, result.payload) for result in response], response.num_shards_queried


def queries(root):
    return np.load(os.path.join(os.path.dirname(root), "queries.npy")).astype(np.float32)


class Library:
    """The faults of the preloaded library."""

    def __init__(self):
        self.faults = ctypes.CDLL(os.environ["LD_PRELOAD"])
        self.faults.faults_restrict_callers(CALLERS)
        self.faults.faults_arm.argtypes = [ctypes.c_uint64, ctypes.c_int]
        self.faults.faults_disarm.restype = ctypes.c_uint64

    def run(self, use, point, mode):
        """What the use gives (None: MemoryError), and whether the fault came to pass."""
        result = None
        self.faults.faults_arm(point, mode)
        try:
            result = use()
        except MemoryError:
            pass
        finally:
            has_failed = self.faults.faults_disarm() > 0
        return result, has_failed


def expect(found, expected, where):
    if found is not None and found != expected:
        sys.exit(f"{where}: another answer: {found}")


def sweep(run, use, expected, name, stride):
    for mode in (0, 1):
        for point in itertools.count(1, stride):
            found, has_failed = run(use, point, mode)
            where = f"{name}, point {point}, mode {mode}"
            expect(found, expected, where)
            if found is None and not has_failed:
                sys.exit(f"{where}: MemoryError without a fault")
            expect(use(), expected, f"after {where}")
            if not has_failed:
                print(f"{name}: mode {mode}: {point} allocations, every {stride}")
                break


def sweep_library(root, folder, stride):
    asked = queries(root)
    cache = os.path.join(folder, "cache")

    def blocking():
        shutil.rmtree(cache, ignore_errors=True)
        with ShardedVectorReader(s3_prefix=root, local_root=cache) as reader:
            return plain(reader.search(asked[0], top_k=5)), list(reader.route_vector(asked[0]))

    async def ask():
        async with await AsyncShardedVectorReader.open(s3_prefix=root, local_root=cache) as reader:
            responses = await reader.batch_search(asked[:2], top_k=5)
            return [plain(response) for response in responses]

    def asynchronous():
        return asyncio.run(ask())

    library = Library()
    sweep(library.run, blocking, blocking(), "blocking", stride)
    sweep(library.run, asynchronous, asynchronous(), "asynchronous", stride)


LAST_POINT = 400
"""No use below asks the interpreter for memory so often."""


def run_interpreter(use, point, mode):
    """As Library.run; the hook does not say whether a fault came to pass, so that the sweep has an end of its own."""
    import _testcapi

    result = None
    met = False
    try:
        _testcapi.set_nomemory(point, 0 if mode else point + 1)
        try:
            result = use()
        finally:
            _testcapi.remove_mem_hooks()
    except MemoryError:
        met = True
    return result, met or point < LAST_POINT


def sweep_interpreter(root, folder, stride):
    """Calls that make objects of the interpreter; its own frames fail too, which it answers with MemoryError."""
    asked = queries(root)
    with ShardedVectorReader(s3_prefix=root, local_root=os.path.join(folder, "cache")) as reader:
        response = reader.search(asked[0], top_k=5)
        uses = {
            "search": lambda: plain(reader.search(asked[0], top_k=3)),
            "response": lambda: (plain(response), repr(response[0]), len(response), response[1:3] is not None),
            "route": lambda: list(reader.route_vector(asked[0])),
            "details": lambda: (repr(reader.snapshot_info()), repr(reader.shard_details()), reader.health().status),
        }
        for name, use in uses.items():
            sweep(run_interpreter, use, use(), name, stride)


if __name__ == "__main__":
    kind, root, folder, stride = sys.argv[1:]
    {"library": sweep_library, "interpreter": sweep_interpreter}[kind](root, folder, int(stride))
