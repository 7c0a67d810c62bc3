"""One loop under everything at once: searches, one in ten of them cancelled, refreshes under way, evictions, opens and
closes. Answers are checked, and what the process holds has to stay flat.

    python soak.py FOLDER [--searches N]
"""

import argparse
import asyncio
import ctypes
import gc
import os
import pathlib
import random
import time
import warnings

import conftest
import snapshot_builder
from shardyfusion.vector import AsyncShardedVectorReader, VectorSearchResponse

NUM_SNAPSHOTS = 6
NUM_QUERIES = 50
IN_FLIGHT = 20  # searches at once, of which CANCELLED are
CANCELLED = 2
MARKS = 20  # looks at what the process holds: the second is after a tenth of the searches
# Of memory, from that one on: of what is allocated, and of what the process has. The second goes on for a while, since the
# C library keeps what each of its arenas once needed at most, and readers that come and go meet ever other arenas.
GROWTH = {"allocated KiB": 1.05, "KiB": 1.10}


class Collector:
    def emit(self, event, fields):
        pass


class Soak:
    def __init__(self, folder):
        self.published = conftest.Published(folder / "snapshot")
        self.where = {"s3_prefix": folder / "snapshot", "local_root": folder / "cache"}
        self.queries = [self.published.query(i) for i in range(NUM_QUERIES)]
        self.lives = [self.published.live] + [self.published.publish() for _ in range(NUM_SNAPSHOTS - 1)]
        self.expected = {
            live.run_id: [[row[0] for row in live.search(query, num_probes=2)] for query in self.queries]
            for live in self.lives
        }
        self.searched = self.answered = self.cancelled = 0

    async def open(self):
        return await AsyncShardedVectorReader.open(**self.where, max_cached_shards=3, metrics_collector=Collector())

    async def refresh(self, reader):
        live = random.choice(self.lives)
        snapshot_builder.write_current(live.root, live.manifest_ref, live.run_id, "2026-01-02T03:04:05.000006Z")
        await reader.refresh()

    async def reopen(self, reader):
        await reader.close()
        return await self.open()

    async def abandon_an_open(self):
        task = asyncio.ensure_future(self.open())
        await asyncio.sleep(random.random() * 0.002)
        task.cancel()
        opened = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(opened, AsyncShardedVectorReader):
            await opened.close()

    def check(self, found, number, run_ids):
        """A search under a refresh has the answer of the snapshot before it or of the one after it."""
        if isinstance(found, asyncio.CancelledError):
            self.cancelled += 1
        elif isinstance(found, VectorSearchResponse):
            self.answered += 1
            assert [result.id for result in found] in [self.expected[run_id][number] for run_id in run_ids]
            assert all(result.payload is None or result.payload["word"] for result in found)
        else:
            raise found

    async def search(self, reader, refreshes):
        numbers = [random.randrange(NUM_QUERIES) for _ in range(IN_FLIGHT)]
        run_ids = [reader.snapshot_info().run_id]
        tasks = [asyncio.ensure_future(reader.search(self.queries[number])) for number in numbers]
        refreshing = asyncio.ensure_future(self.refresh(reader)) if refreshes else None
        await asyncio.sleep(random.random() * 0.0005)
        under_way = [task for task in tasks if not task.done()]
        for task in random.sample(under_way, min(CANCELLED, len(under_way))):
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        if refreshing is not None:
            await refreshing
            run_ids.append(reader.snapshot_info().run_id)
        for number, result in zip(numbers, found):
            self.check(result, number, run_ids)
        self.searched += IN_FLIGHT

    async def step(self, reader):
        lot = random.random()
        if lot < 0.005:
            reader = await self.reopen(reader)
        elif lot < 0.01:
            await self.abandon_an_open()
        await self.search(reader, refreshes=lot > 0.95)
        return reader

    async def run(self, searches):
        marks, started = [], time.monotonic()
        await (await self.open()).close()  # the loop's completion queue stays with the loop
        gc.collect()
        at_start = held()
        reader = await self.open()
        while self.searched < searches:
            reader = await self.step(reader)
            if self.searched >= (len(marks) + 1) * searches / MARKS:
                gc.collect()
                marks.append(held())
                print(f"{self.searched} searches, {time.monotonic() - started:.0f} s: {marks[-1]}", flush=True)
        await reader.close()
        del reader  # which holds its threads, idle, until it goes
        gc.collect()
        at_end = await settled(at_start)
        print(f"{self.answered} answers, all right, and {self.cancelled} cancelled; at start: {at_start}; at end: {at_end}")
        for kind, growth in GROWTH.items():
            assert max(mark[kind] for mark in marks[2:]) <= marks[1][kind] * growth, f"memory grows: {kind}"
        assert at_end["descriptors"] <= at_start["descriptors"], "descriptors are left"
        assert at_end["threads"] <= at_start["threads"], "threads are left"


async def settled(at_start):
    """What is held once threads have ended that nobody waits for."""
    deadline = time.monotonic() + 30
    while (found := held())["threads"] > at_start["threads"] and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return found


def held():
    """Memory, descriptors and threads of this process; and what of the memory the C library's allocator gave out."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    found = {
        "KiB": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }
    return found | {"allocated KiB": allocated_kib()}


class Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]


def allocated_kib():
    """0 where the C library does not say (glibc says, from 2.33 on)."""
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is None:
        return 0
    function.restype = Mallinfo2
    info = function()
    return (info.uordblks + info.hblkhd) // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--searches", type=int, default=1_000_000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    asyncio.run(Soak(arguments.folder).run(arguments.searches))


if __name__ == "__main__":
    main()
