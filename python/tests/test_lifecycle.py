"""Cancellation, several loops, forks, exits, and readers that are dropped."""

import asyncio
import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import pytest
from conftest import LOOPS, run
from shardyfusion.errors import ConfigValidationError, ReaderStateError
from shardyfusion.vector import AsyncShardedVectorReader, ShardedVectorReader


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def threads():
    return len(os.listdir("/proc/self/task"))


def comes_down_to(descriptors, count):
    """Whether no more are there, once threads have ended that nobody waits for."""
    deadline = time.monotonic() + 30
    while (open_descriptors() > descriptors or threads() > count) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return open_descriptors() <= descriptors and threads() <= count


async def test_a_cancelled_search_ends_at_once_and_leaves_the_reader_good(large, large_where):
    async with await AsyncShardedVectorReader.open(**large_where) as reader:
        query = large.query()
        for _ in range(20):
            task = asyncio.ensure_future(reader.search(query, num_probes=4))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert [r.id for r in await reader.search(query, num_probes=4)] == large.expected_ids(query, num_probes=4)


async def test_a_timeout_ends_a_search(large, large_where):
    async with await AsyncShardedVectorReader.open(**large_where) as reader:
        queries = [large.query(i) for i in range(2000)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await reader.batch_search(queries, num_probes=4)
        assert len(await reader.search(queries[0])) == 10


async def test_cancelled_opens_and_refreshes_leave_nothing(published, where):
    for _ in range(10):
        task = asyncio.ensure_future(AsyncShardedVectorReader.open(**where))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with await AsyncShardedVectorReader.open(**where) as reader:
        before = open_descriptors()
        for _ in range(10):
            published.publish()
            task = asyncio.ensure_future(reader.refresh())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await reader.refresh()
        query = published.query()
        assert [r.id for r in await reader.search(query)] == published.expected_ids(query)
        assert open_descriptors() <= before + 8


async def test_close_waits_for_searches_under_way(large, large_where):
    reader = await AsyncShardedVectorReader.open(**large_where)
    searches = [asyncio.ensure_future(reader.search(large.query(i), num_probes=4)) for i in range(8)]
    await asyncio.sleep(0)
    await reader.close()
    for search in searches:
        assert len(await search) == 10


async def test_close_can_be_called_from_finally_after_cancellation(large, large_where):
    async def serve():
        reader = await AsyncShardedVectorReader.open(**large_where)
        try:
            while True:
                await reader.search(large.query(), num_probes=4)
        finally:
            await reader.close()
            closed.append(reader.health().is_closed)

    closed = []
    task = asyncio.ensure_future(serve())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True]


async def test_a_close_that_is_cancelled_goes_on(published, where):
    reader = await AsyncShardedVectorReader.open(**where)
    task = asyncio.ensure_future(reader.close())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await reader.close()
    assert reader.health().is_closed


@pytest.mark.parametrize("kind", LOOPS)
def test_several_loops_in_several_threads_each_have_a_reader(published, where, kind):
    failures = []

    async def work():
        async with await AsyncShardedVectorReader.open(**where) as reader:
            for seed in range(20):
                queries = [published.query(seed * 10 + i) for i in range(10)]
                found = await asyncio.gather(*(reader.search(query, 3) for query in queries))
                if [[r.id for r in f] for f in found] != [published.expected_ids(q, top_k=3) for q in queries]:
                    failures.append(seed)

    workers = [threading.Thread(target=run, args=(kind, work())) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


def test_a_reader_belongs_to_the_loop_that_opened_it(published, where):
    loop = asyncio.new_event_loop()
    try:
        reader = loop.run_until_complete(AsyncShardedVectorReader.open(**where))
        with pytest.raises(ReaderStateError, match="loop"):
            asyncio.run(reader.search(published.query()))
        loop.run_until_complete(reader.close())
    finally:
        loop.close()


def test_a_loop_that_is_closed_with_searches_under_way_leaves_nothing(large, large_where):
    async def leave():
        reader = await AsyncShardedVectorReader.open(**large_where)
        tasks.extend(asyncio.ensure_future(reader.search(large.query(i), num_probes=4)) for i in range(16))
        await asyncio.sleep(0)

    def once():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            asyncio.run(leave())
            tasks.clear()
            gc.collect()

    tasks = []
    once()
    descriptors, count = open_descriptors(), threads()
    for _ in range(5):
        once()
    assert comes_down_to(descriptors, count)


async def test_closed_readers_keep_no_thread_though_they_are_referred_to(large, large_where):
    count, closed = threads(), []
    for _ in range(3):
        reader = await AsyncShardedVectorReader.open(**large_where)
        await asyncio.gather(*(reader.search(large.query(i), num_probes=4) for i in range(8)))
        await reader.close()
        closed.append(reader)
    assert comes_down_to(1 << 30, count)
    with ShardedVectorReader(**large_where) as reader:
        reader.search(large.query(0), num_probes=4)
    assert comes_down_to(1 << 30, count)


async def test_fifty_readers_share_their_threads(large, large_where):
    count = threads()
    most = count + len(os.sched_getaffinity(0)) + 32 + 8  # that scan, that load, and those that opened, one at a time
    readers = [await AsyncShardedVectorReader.open(**large_where) for _ in range(50)]
    searches = [asyncio.ensure_future(reader.search(large.query(i), num_probes=4)) for i, reader in enumerate(readers)]
    for i, search in enumerate(searches):
        found = [result.id for result in await search]
        assert found == large.expected_ids(large.query(i), num_probes=4)
        assert threads() <= most
    await asyncio.gather(*(reader.close() for reader in readers))
    assert comes_down_to(1 << 30, count)


@pytest.mark.parametrize("kind", [AsyncShardedVectorReader, ShardedVectorReader])
async def test_the_priority_of_its_threads_is_an_option(large, large_where, kind):
    def priorities():
        return sorted(os.getpriority(os.PRIO_PROCESS, int(task)) for task in os.listdir("/proc/self/task"))

    own, count = os.getpriority(os.PRIO_PROCESS, 0), threads()
    for nice, expected in ((None, own), (5, min(own + 5, 19))):
        reader = kind.open(**large_where, thread_nice=nice)
        reader = await reader if kind is AsyncShardedVectorReader else reader
        found = reader.search(large.query(0), num_probes=4)
        if kind is AsyncShardedVectorReader:
            await found
        assert priorities()[-1] == expected
        closed = reader.close()
        if kind is AsyncShardedVectorReader:
            await closed
        assert comes_down_to(1 << 30, count)
    for wrong in (-1, 20, "low"):
        with pytest.raises(ConfigValidationError, match="thread_nice: expected an integer of at least 0 and at most 19"):
            opened = kind.open(**large_where, thread_nice=wrong)
            if kind is AsyncShardedVectorReader:
                await opened


def test_a_reader_that_is_dropped_warns_and_frees_all(where):
    async def drop():
        reader = await AsyncShardedVectorReader.open(**where)
        with pytest.warns(ResourceWarning, match="unclosed"):
            del reader
            gc.collect()

    asyncio.run(drop())
    descriptors, count = open_descriptors(), threads()
    for _ in range(3):
        asyncio.run(drop())
    assert comes_down_to(descriptors, count)
    reader = ShardedVectorReader(**where)
    with pytest.warns(ResourceWarning, match="unclosed"):
        del reader
        gc.collect()


SCRIPT = """
import asyncio, sys, numpy as np
from shardyfusion.vector import AsyncShardedVectorReader, ShardedVectorReader
where = {where!r}
dim = {dim}

async def main():
    reader = await AsyncShardedVectorReader.open(**where)
    keep.append(reader)
    tasks = [asyncio.ensure_future(reader.search(np.ones(dim), num_probes=4)) for _ in range(32)]
    await asyncio.sleep(0)
    {ending}

keep = []
{start}
"""

EXITS = {
    "returning": ("keep.extend(tasks)", "asyncio.run(main())"),
    "sys.exit": ("sys.exit(0)", "asyncio.run(main())"),
    "raising": ("raise SystemExit(0)", "asyncio.run(main())"),
    "a loop that stays": ("keep.extend(tasks)", "loop = asyncio.new_event_loop(); loop.run_until_complete(main())"),
    "a daemon thread": (
        "keep.extend(tasks); await asyncio.gather(*tasks)",
        "import threading, time; threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start(); time.sleep(0.3)",
    ),
    "an open under way": (
        "keep.append(asyncio.ensure_future(AsyncShardedVectorReader.open(**where))); await asyncio.sleep(0)",
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main())",
    ),
}


@pytest.mark.parametrize("way", EXITS)
def test_the_interpreter_exits_cleanly_with_searches_under_way(large, large_where, way):
    ending, start = EXITS[way]
    script = textwrap.dedent(SCRIPT).format(where=large_where, dim=large.live.dim, ending=ending, start=start)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Fatal" not in done.stderr
    assert "Sanitizer" not in done.stderr


def test_control_c_ends_a_synchronous_wait(large, large_where):
    script = f"""
import os, signal, threading, time, numpy as np
from shardyfusion.vector import ShardedVectorReader
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
reader = ShardedVectorReader(**{large_where!r})
queries = np.random.default_rng(1).standard_normal((20_000, {large.live.dim})).astype(np.float32)
try:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    reader.batch_search(queries, num_probes=4)
except KeyboardInterrupt:
    print("interrupted", len(reader.search(queries[0])))
reader.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "interrupted 10", done.stderr


def in_child(reader, query, connection):
    found = []
    for call in (
        lambda: reader.search(query),
        lambda: reader.refresh(),
        lambda: reader.batch_search([query]),
        lambda: reader.close(),
    ):
        try:
            result = call()
            if asyncio.iscoroutine(result):
                asyncio.run(result)
            found.append("no error")
        except ReaderStateError as error:
            found.append("fork" if "fork" in str(error) else str(error))
    try:
        reader.snapshot_info()
    except ReaderStateError:
        found.append("fork")
    connection.send((found, repr(reader)))


# In a fork's child the address sanitizer's allocator (of gcc 12) finds the locks that other threads held at that moment: the
# child can hang before it comes to anything of ours. tests/unit/test_fork.c forks with the sanitizer, at quiet moments.
without_sanitizer = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer's allocator can't be forked while threads run"
)


@without_sanitizer
def test_inherited_readers_raise_in_a_fork(large, large_where):
    context = multiprocessing.get_context("fork")

    async def fork_while_searching():
        async with await AsyncShardedVectorReader.open(**large_where) as reader:
            searches = [asyncio.ensure_future(reader.search(large.query(i), num_probes=4)) for i in range(32)]
            await asyncio.sleep(0)
            children = []
            for _ in range(4):
                receiver, sender = context.Pipe(duplex=False)
                child = context.Process(target=in_child, args=(reader, large.query(), sender))
                child.start()
                children.append((child, receiver))
            await asyncio.gather(*searches)
            for child, receiver in children:
                await asyncio.to_thread(child.join, 30)
                assert child.exitcode == 0
                assert receiver.recv()[0] == ["fork"] * 5
            assert len(await reader.search(large.query())) == 10

    asyncio.run(fork_while_searching())


@without_sanitizer
def test_a_fork_can_open_its_own_reader(published, where):
    context = multiprocessing.get_context("fork")
    with ShardedVectorReader(**where) as reader:
        expected = [r.id for r in reader.search(published.query())]

        def work(connection):
            async def search():
                async with await AsyncShardedVectorReader.open(**where) as own:
                    return [r.id for r in await own.search(published.query())]

            connection.send(asyncio.run(search()))

        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=work, args=(sender,))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert receiver.recv() == expected


@pytest.mark.foreign
def test_a_preloading_gunicorn_with_uvicorn_workers_serves(published, where, tmp_path):
    pytest.importorskip("gunicorn")
    pytest.importorskip("uvicorn")
    httpx = pytest.importorskip("httpx")
    (tmp_path / "application.py").write_text(
        textwrap.dedent(f"""
        import json, os
        from shardyfusion.errors import ReaderStateError
        from shardyfusion.vector import AsyncShardedVectorReader, ShardedVectorReader

        where = {where!r}
        inherited = ShardedVectorReader(**where)  # preloaded, in the master
        reader = None

        async def application(scope, receive, send):
            global reader
            if scope["type"] == "lifespan":
                await receive()
                reader = await AsyncShardedVectorReader.open(**where)
                await send({{"type": "lifespan.startup.complete"}})
                await receive()
                await reader.close()
                await send({{"type": "lifespan.shutdown.complete"}})
                return
            try:
                inherited.search([1.0] * 16)
                fork = "no error"
            except ReaderStateError as error:
                fork = "ReaderStateError"
            response = await reader.search([1.0] * 16)
            body = json.dumps({{"pid": os.getpid(), "fork": fork, "ids": response.ids.tolist()}}).encode()
            await send({{"type": "http.response.start", "status": 200, "headers": []}})
            await send({{"type": "http.response.body", "body": body}})
        """)
    )
    socket = tmp_path / "socket"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--graceful-timeout", "10",
               "--worker-class", "uvicorn.workers.UvicornWorker", "--bind", f"unix:{socket}", "application:application"]
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        transport = httpx.HTTPTransport(uds=str(socket), retries=0)
        deadline = time.monotonic() + 60
        while not socket.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        expected = published.expected_ids([1.0] * 16)
        pids = set()
        with httpx.Client(transport=transport, timeout=30) as client:
            for _ in range(50):
                answer = json.loads(client.get("http://service/", headers={"connection": "close"}).text)
                assert answer["ids"] == expected
                assert answer["fork"] == "ReaderStateError"
                pids.add(answer["pid"])
        assert server.pid not in pids
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, (tmp_path / "log").read_text()
