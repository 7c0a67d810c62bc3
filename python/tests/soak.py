"""One loop under everything at once: searches that are cancelled, refreshes, evictions, opens and closes. Answers are
checked, and what the process holds has to stay flat.

    python soak.py FOLDER SECONDS
"""

import asyncio
import gc
import os
import pathlib
import random
import sys
import time
import warnings

import conftest
import snapshot_builder
from shardyfusion.vector import AsyncShardedVectorReader, VectorSearchResponse

NUM_SNAPSHOTS = 6
NUM_QUERIES = 50
GROWTH = 1.10  # of memory, from a third of the time on


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

    async def open(self):
        return await AsyncShardedVectorReader.open(
            **self.where, max_cached_shards=2, metrics_collector=Collector()
        )

    async def refresh(self, reader):
        live = random.choice(self.lives)
        snapshot_builder.write_current(live.root, live.manifest_ref, live.run_id, "2026-01-02T03:04:05.000006Z")
        await reader.refresh()
        return reader

    async def reopen(self, reader):
        await reader.close()
        return await self.open()

    async def abandon_an_open(self, reader):
        task = asyncio.ensure_future(self.open())
        await asyncio.sleep(random.random() * 0.002)
        task.cancel()
        opened = (await asyncio.gather(task, return_exceptions=True))[0]
        if isinstance(opened, AsyncShardedVectorReader):
            await opened.close()
        return reader

    async def search(self, reader):
        """Sixteen at once, half of them cancelled."""
        numbers = [random.randrange(NUM_QUERIES) for _ in range(16)]
        tasks = [asyncio.ensure_future(reader.search(self.queries[number])) for number in numbers]
        await asyncio.sleep(random.random() * 0.001)
        for task in tasks[::2]:
            task.cancel()
        run_id = reader.snapshot_info().run_id
        for number, found in zip(numbers, await asyncio.gather(*tasks, return_exceptions=True)):
            if isinstance(found, VectorSearchResponse):
                assert [result.id for result in found] == self.expected[run_id][number]
                assert all(result.payload is None or result.payload["word"] for result in found)
            elif not isinstance(found, asyncio.CancelledError):
                raise found
        return reader

    async def run(self, seconds):
        marks, started, steps = [], time.monotonic(), 0
        kinds = [self.search] * 95 + [self.refresh] * 2 + [self.reopen] * 2 + [self.abandon_an_open]
        reader = await self.open()
        while (elapsed := time.monotonic() - started) < seconds:
            reader = await random.choice(kinds)(reader)
            steps += 1
            if elapsed > (len(marks) + 1) * seconds / 12:
                gc.collect()
                marks.append(held())
        await reader.close()
        print(f"{steps} steps; memory in KiB, descriptors, threads: {marks}")
        early, late = marks[3], marks[-1]
        assert late[0] <= early[0] * GROWTH, "memory grows"
        assert late[1] <= early[1] + 4, "descriptors grow"
        assert late[2] <= early[2] + 24, "threads grow"


def held():
    """Memory, descriptors and threads of this process."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * 4, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


if __name__ == "__main__":
    warnings.simplefilter("ignore", ResourceWarning)
    asyncio.run(Soak(pathlib.Path(sys.argv[1])).run(float(sys.argv[2])))
