#!/usr/bin/env python3
"""The asyncio reader beside sqlite-vec's own Python package behind asyncio.to_thread, on one snapshot.

    bench/asyncio_search.py FOLDER [--rows N] [--dim N] [--shards N] [--seconds S]
    bench/asyncio_search.py FOLDER --busy N --processes N [--rounds N] [--python PROGRAM]...

FOLDER holds the snapshot; it is made when missing: clusters of vectors, one a shard, searched with num_probes=1. Prints,
for both: queries a second with 64 in flight, the median latency with one in flight; for the reader also what Python adds
to the core's own time, how late a timer of 1 ms comes with 64 searches in flight (and with none, which is what the machine
adds), and how much longer the package takes to import than the interpreter to start.

With --busy or --processes, the reader alone, beside neighbours: so many processes with 64 searches in flight each, and so
many more that do nothing but keep a CPU busy. Prints for each process the searches a second and how late the timer comes.
Each --python (by default this one) takes its turn in each round, so that versions of the package can be compared.
"""

import argparse
import asyncio
import json
import os
import pathlib
import queue
import statistics
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "python"))

IN_FLIGHT = 64


def make(folder, rows, dim, num_shards):
    import snapshot_builder

    random = np.random.default_rng(7)
    centroids = random.standard_normal((num_shards, dim)).astype(np.float32)
    shards, first = [], 0
    for i in range(num_shards):
        count = rows // num_shards + (i < rows % num_shards)
        vectors = (centroids[i] + random.standard_normal((count, dim)) * 0.7).astype(np.float32)
        shards.append(snapshot_builder.Shard(list(range(first, first + count)), vectors))
        first += count
    snapshot_builder.publish(folder, shards, metric="l2", strategy="cluster", centroids=centroids, page_size=4096)


class SqliteVec:
    """One connection a thread and shard, as asyncio.to_thread's pool needs them."""

    def __init__(self, folder, route):
        self.paths = sorted(folder.glob("shards/*/*/*/shard.db"))
        self.route = route
        self.free = [queue.SimpleQueue() for _ in self.paths]

    def connect(self, shard):
        import sqlite_vec
        from snapshot_builder import sqlite3

        try:
            return self.free[shard].get_nowait()
        except queue.Empty:
            database = sqlite3.connect(self.paths[shard], check_same_thread=False)
            database.enable_load_extension(True)
            sqlite_vec.load(database)
            return database

    def blocking(self, query):
        (shard,) = self.route(query)
        database = self.connect(shard)
        rows = database.execute(
            "SELECT v.rowid, v.distance, m.original_id, p.payload FROM"
            " (SELECT rowid, distance FROM vec_index WHERE embedding MATCH ? AND k = 10) v"
            " LEFT JOIN vec_id_map m ON m.internal_id = v.rowid LEFT JOIN vec_payloads p ON p.rowid = v.rowid"
            " ORDER BY v.distance",
            (query.tobytes(),),
        ).fetchall()
        self.free[shard].put(database)
        return [json.loads(row[2])["v"] for row in rows]

    async def search(self, query):
        return await asyncio.to_thread(self.blocking, query)


async def throughput(search, queries, seconds):
    """Queries a second with 64 in flight."""
    end = time.perf_counter() + seconds
    done = 0

    async def work(number):
        nonlocal done
        while time.perf_counter() < end:
            await search(queries[(number * 37 + done) % len(queries)])
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*map(work, range(IN_FLIGHT)))
    return done / (time.perf_counter() - started)


async def latencies(search, queries, seconds):
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        query = queries[len(found) % len(queries)]
        started = time.perf_counter()
        await search(query)
        found.append(time.perf_counter() - started)
    return found


async def added_by_python(reader, queries, seconds):
    """How much longer than the core's own time (`latency_ms`) a search takes as awaited, less how much longer it takes as
    an operation that is submitted and waited for in C. Both in turn, each with a query of its own; medians."""
    awaited, waited, end = [], [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        query, other = (queries[(2 * len(waited) + i) % len(queries)] for i in (0, 1))
        started = time.perf_counter()
        response = await reader.search(query)
        awaited.append(time.perf_counter() - started - response.latency_ms / 1e3)
        started = time.perf_counter()
        response = reader._handle.search(None, None, other, 10, None, None, None, None).wait()
        waited.append(time.perf_counter() - started - response.latency_ms / 1e3)
    return statistics.median(awaited) - statistics.median(waited)


async def timer_delays(load):
    """How late a timer of 1 ms comes until `load` ends: the 50th and the 99th percentile."""
    delays, loop = [], asyncio.get_running_loop()
    load = asyncio.ensure_future(load)
    while not load.done():
        due = loop.time() + 0.001
        await asyncio.sleep(0.001)
        delays.append(loop.time() - due)
    await load
    delays.sort()
    return delays[len(delays) // 2], delays[int(len(delays) * 0.99)]


def import_time():
    """Seconds that importing the reader takes, beyond the start of the interpreter; medians of 30, in turns."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times = {"pass": [], "import shardyfusion.vector.async_reader": []}
    for i in range(31):
        for code, found in times.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            if i > 0:  # the first one compiles
                found.append(time.perf_counter() - started)
    bare, imported = map(statistics.median, times.values())
    return imported - bare


def open_reader(folder):
    from shardyfusion.vector import AsyncShardedVectorReader

    return AsyncShardedVectorReader.open(s3_prefix=folder, local_root=folder.parent / "cache", preload_shards=True)


def make_queries(folder, info):
    random = np.random.default_rng(11)
    centroids = np.load(next(folder.glob("vector_meta/*/centroids.npy")))
    near = centroids[random.integers(0, info.num_dbs, 1000)]
    return list((near + random.standard_normal((1000, info.dim)) * 0.7).astype(np.float32))


async def measure_among_neighbours(folder, seconds):
    """Waits for a line of input, so that all begin at once, and prints what it measured."""
    async with await open_reader(folder) as reader:
        queries = make_queries(folder, reader.snapshot_info())
        await throughput(reader.search, queries, 0.2)
        print("ready", flush=True)
        sys.stdin.readline()
        rate = asyncio.ensure_future(throughput(reader.search, queries, seconds))
        median, p99 = await timer_delays(rate)
    print(f"{rate.result():8.0f} searches a second, timer late by {median * 1e3:.2f} ms (median), {p99 * 1e3:.2f} ms (p99)")


def run_among_neighbours(folder, python, arguments):
    """One line for each process."""
    command = [python, __file__, str(folder.parent), "--seconds", str(arguments.seconds), "--waits"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    readers = [subprocess.Popen(command, **pipes) for _ in range(arguments.processes)]
    for reader in readers:
        reader.stdout.readline()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(arguments.busy)]
    try:
        for reader in readers:
            reader.stdin.write("\n")
            reader.stdin.flush()
        for reader in readers:
            print(f"{python}: {reader.communicate()[0].strip()}", flush=True)
    finally:
        for process in busy:
            process.kill()
            process.wait()


async def measure(folder, arguments):
    async with await open_reader(folder) as reader:
        info = reader.snapshot_info()
        queries = make_queries(folder, info)
        other = SqliteVec(folder, lambda query: reader.route_vector(query))
        for query in queries[:20]:
            ours = [result.id for result in await reader.search(query)]
            if ours != await other.search(query):
                sys.exit("the two do not find the same")
        facts = {
            "vectors": info.total_vectors,
            "dim": info.dim,
            "shards": info.num_dbs,
            "queries_per_second": await throughput(reader.search, queries, arguments.seconds),
            "sqlite_vec_queries_per_second": await throughput(other.search, queries, arguments.seconds),
            "median_ms": statistics.median(await latencies(reader.search, queries, arguments.seconds)) * 1e3,
            "sqlite_vec_median_ms": statistics.median(await latencies(other.search, queries, arguments.seconds)) * 1e3,
            "added_by_python_us": await added_by_python(reader, queries, arguments.seconds) * 1e6,
        }
        for name, load in (
            ("timer", throughput(reader.search, queries, arguments.seconds)),
            ("idle_timer", asyncio.sleep(arguments.seconds)),
        ):
            median, p99 = await timer_delays(load)
            facts |= {f"{name}_median_delay_ms": median * 1e3, f"{name}_p99_delay_ms": p99 * 1e3}
    facts["import_ms"] = import_time() * 1e3
    facts["times_the_queries"] = facts["queries_per_second"] / facts["sqlite_vec_queries_per_second"]
    facts["part_of_the_latency"] = facts["median_ms"] / facts["sqlite_vec_median_ms"]
    facts["load"] = os.getloadavg()[0]
    for name, value in facts.items():
        print(f"{name:32} {value:.2f}" if isinstance(value, float) else f"{name:32} {value}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=341_479)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="processes that keep a CPU busy meanwhile")
    parser.add_argument("--processes", type=int, default=0, metavar="N", help="processes that search at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--python", action="append", metavar="PROGRAM", help="interpreters that take turns")
    parser.add_argument("--waits", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve() / "snapshot"
    if not (folder / "_CURRENT").exists():
        make(folder, arguments.rows, arguments.dim, arguments.shards)
    if arguments.busy or arguments.processes:
        arguments.processes = arguments.processes or 1
        for _ in range(arguments.rounds):
            for python in arguments.python or [sys.executable]:
                run_among_neighbours(folder, python, arguments)
        return
    work = measure_among_neighbours(folder, arguments.seconds) if arguments.waits else measure(folder, arguments)
    if arguments.uvloop:
        import uvloop

        asyncio.Runner(loop_factory=uvloop.new_event_loop).run(work)
    else:
        asyncio.run(work)


if __name__ == "__main__":
    main()
