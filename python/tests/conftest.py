"""Snapshots to read, and coroutines as tests (on the loop's default and on uvloop)."""

from __future__ import annotations

import asyncio
import inspect
import pathlib
import sys

import numpy as np
import pytest
from shardyfusion.vector import ShardedVectorReader
from shardyfusion.vector.writer import write_sharded

from small_snapshots import small_config

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(ROOT / "tests" / "python"))

import snapshot_builder  # noqa: E402

LOOPS = ["asyncio", "uvloop"]


def pytest_pycollect_makeitem(collector, name, obj):
    if collector.istestfunction(obj, name) and inspect.iscoroutinefunction(obj):
        return list(collector._genfunctions(name, obj))
    return None


def pytest_generate_tests(metafunc):
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.fixturenames.append("loop_kind")
        metafunc.parametrize("loop_kind", LOOPS)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = [name for name in pyfuncitem._fixtureinfo.argnames if name != "loop_kind"]
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    run(pyfuncitem.callspec.params["loop_kind"], pyfuncitem.obj(**arguments))
    return True


def run(loop_kind, coroutine):
    """Runs it on a new loop of that kind; one that takes minutes hangs."""

    async def bounded():
        async with asyncio.timeout(120):
            return await coroutine

    if loop_kind == "asyncio":
        return asyncio.run(bounded())
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(bounded())


def make_shards(seed, num_shards=4, rows=50, dim=16, first_id=0):
    random = np.random.default_rng(seed)
    shards = []
    for i in range(num_shards):
        ids = [first_id + i * rows + j for j in range(rows)]
        vectors = random.standard_normal((rows, dim)).astype(np.float32)
        payloads = [{"word": f"w{identifier}"} if identifier % 3 else None for identifier in ids]
        shards.append(snapshot_builder.Shard(ids, vectors, payloads))
    return shards


class Published:
    """A root to publish to, and what was published last."""

    def __init__(self, root, **kind):
        self.root = root
        self.kind = kind
        self.count = 0
        self.live = None
        self.publish()

    def publish(self, seed=None, **options):
        self.count += 1
        seed = self.count if seed is None else seed
        shards = make_shards(seed, **self.kind)
        random = np.random.default_rng(seed + 1000)
        centroids = random.standard_normal((len(shards), shards[0].vectors.shape[1])).astype(np.float32)
        options = {"strategy": "cluster", "centroids": centroids, "num_probes": 2} | options
        timestamp = f"2026-01-02T03:04:{self.count:02d}.000006Z"
        self.live = snapshot_builder.publish(self.root, shards, timestamp=timestamp, **options)
        return self.live

    def query(self, seed=0):
        dim = self.live.dim
        return np.random.default_rng(seed + 5000).standard_normal(dim).astype(np.float32)

    def expected_ids(self, query, **routing):
        return [row[0] for row in self.live.search(query, **routing)]


@pytest.fixture(scope="module")
def vectors(request):
    """Random vectors of the module's shape (ROWS, DIM), from its SEED."""
    module = request.module
    return np.random.default_rng(module.SEED).standard_normal((module.ROWS, module.DIM)).astype(np.float32)


@pytest.fixture
def root(tmp_path):
    """A root that nothing was written to."""
    return tmp_path / "snapshot"


@pytest.fixture(scope="module")
def written(tmp_path_factory, vectors):
    """A snapshot of the module's vectors in two shards, by the variable `shard` of a routing context."""
    root = tmp_path_factory.mktemp("written") / "snapshot"
    cel = {"num_dbs": 2, "strategy": "cel", "cel_expr": "shard", "cel_columns": {"shard": "int"}}
    config = small_config(root, vectors.shape[1], batch_size=8, **cel)
    write_sharded(vectors, config, routing_contexts=[{"shard": row % 2} for row in range(len(vectors))])
    return root


@pytest.fixture
def reader(written, tmp_path):
    with ShardedVectorReader(s3_prefix=written, local_root=tmp_path / "cache") as opened:
        yield opened


@pytest.fixture
def published(tmp_path):
    return Published(tmp_path / "snapshot")


@pytest.fixture
def where(published, tmp_path):
    """The arguments that every `open` needs."""
    return {"s3_prefix": str(published.root), "local_root": str(tmp_path / "cache")}


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """A snapshot whose searches take long enough to be interrupted: 4 shards of 5,000 × 512."""
    root = tmp_path_factory.mktemp("large")
    return Published(root / "snapshot", num_shards=4, rows=5_000, dim=512)


@pytest.fixture
def large_where(large, tmp_path_factory):
    return {"s3_prefix": str(large.root), "local_root": str(large.root.parent / "cache")}
