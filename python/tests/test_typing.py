"""The package, its stubs and the examples pass strict type checkers."""

import pathlib
import re
import shutil
import subprocess
import sys

import first_library_uses
import pytest
import shardyfusion

pytestmark = pytest.mark.foreign
PACKAGE = pathlib.Path(shardyfusion.__file__).parent
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples" / "python"

USE = """
import asyncio
import numpy as np
from shardyfusion import TokenBucket
from shardyfusion.errors import ShardyfusionError
from shardyfusion.vector import AsyncShardedVectorReader, SearchResult, ShardedVectorReader
from shardyfusion.vector.async_reader import AsyncShardedVectorReader as Same
from shardyfusion.vector.writer import (
    BuildResult, VectorColumnInput, VectorIndexConfig, VectorRecord, VectorShardedWriteConfig, VectorShardingConfig, write_sharded
)


class Collector:
    def emit(self, event: str, fields: dict[str, object]) -> None:
        print(event, fields)


class Table:
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return requested_schema


def write() -> None:
    config = VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=3),
        sharding=VectorShardingConfig(centroids=np.zeros((2, 3), np.float32)),
        s3_prefix="x",
    )
    result: BuildResult = write_sharded([VectorRecord(1, [0.5, 1.0, 2.0], {"a": 1}), VectorRecord("x", np.zeros(3))], config)
    write_sharded(np.zeros((4, 3), np.float32), config, ids=["a", "b", "c", "d"], progress=lambda state: print(state.rows))
    write_sharded(Table(), config, VectorColumnInput(vector_col="embedding", payload_cols=["title"]))
    print(result.manifest_ref, [shard.row_count for shard in result.winners], result.stats.durations.total_ms)


async def main() -> None:
    async with await AsyncShardedVectorReader.open(
        s3_prefix="x", local_root="y", rate_limiter=TokenBucket(5), metrics_collector=Collector(),
        s3_connection_options={"addressing_style": "path", "verify_ssl": False},
    ) as reader:
        response = await reader.search(np.zeros(3, np.float32), top_k=3)
        best: SearchResult = response[0]
        names: list[int | str] = [result.id for result in response]
        scores: memoryview[float] = response.scores
        route: list[int] = reader.route_vector([0.5, 1, 2])
        batch = await reader.batch_search([[0.5, 1.0], [1.0, 2.0]], num_probes=2, routing_context={"a": 1})
        print(best.payload, names, scores, route, batch[0].latency_ms, reader.health().status, Same)
    with ShardedVectorReader(s3_prefix="x", local_root="y", max_workers=2) as other:
        try:
            other.search([1.0])
        except ShardyfusionError as error:
            print(error.retryable)


asyncio.run(main())
"""


@pytest.fixture
def sources(tmp_path):
    """What is checked, where the installed package is found."""
    shutil.copytree(PACKAGE, tmp_path / "shardyfusion", ignore=shutil.ignore_patterns("__pycache__", "bin"))
    (tmp_path / "use.py").write_text(USE)
    targets = ["shardyfusion", "use.py"]
    for example in sorted(EXAMPLES.glob("*.py")):
        shutil.copy(example, tmp_path)
        targets.append(example.name)
    return tmp_path, targets


def test_mypy_has_nothing_to_say(sources):
    folder, targets = sources
    (folder / "first_library.py").write_text(first_library_uses.program())
    targets = [*targets, "first_library.py"]
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / ".cache"), *targets]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_has_nothing_to_say(sources):
    folder, targets = sources
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, *targets]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if re.search("could not|nodeenv failed", done.stderr, re.IGNORECASE):
        pytest.skip("pyright has no Node.js to run on")
    assert done.returncode == 0, done.stdout + done.stderr
