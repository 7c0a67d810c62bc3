"""Ray writes snapshots."""

import os

import pyarrow as pa
import pytest
from adapter_cases import AdapterCases
from engine_cases import EngineCases
from helper_cases import HelperCases
from rows import DIM, check_answers, columns, config, table, vectors_of
from search_cases import SearchCases, collected, queries
from shardyfusion.errors import ConfigValidationError

ray = pytest.importorskip("ray", reason="no wheel of ray for this Python")

import ray.data  # noqa: E402
from shardyfusion.search.ray import search  # noqa: E402
from shardyfusion.writer.ray import write_sharded, write_vector_sharded  # noqa: E402
from shardyfusion.writer.ray._engine import RayEngine  # noqa: E402
from shardyfusion.writer.ray.sharding import add_vector_db_id_column  # noqa: E402


class Ray:
    write = staticmethod(write_sharded)
    wrap = RayEngine

    @staticmethod
    def frame(rows):
        return ray.data.from_arrow([pa.Table.from_batches([batch]) for batch in rows.to_batches()])


@pytest.fixture(scope="session")
def engine():
    here = os.path.dirname(__file__)
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        logging_level="error",
        object_store_memory=200 << 20,
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield Ray
    ray.shutdown()


class TestRay(EngineCases):
    def test_vectors_may_be_tensors(self, engine, tmp_path):
        rows = table(200)
        arrays = {name: rows.column(name).to_numpy(zero_copy_only=False) for name in ("id", "colour", "size")}
        frame = ray.data.from_numpy(vectors_of(rows)).rename_columns({"data": "vec"})
        whole = ray.data.from_items([{name: arrays[name][i].item() if name != "colour" else arrays[name][i] for name in arrays} for i in range(200)])
        frame = whole.repartition(1).zip(frame)
        write_vector_sharded(frame, config(tmp_path / "root", "cluster"), columns())
        check_answers(tmp_path / "root", rows, tmp_path)
        assert DIM == 8


class SearchingRay(Ray):
    search = staticmethod(search)

    @staticmethod
    def rows(results):
        return collected(results.take_all())


@pytest.fixture
def searching(engine):
    return SearchingRay


class TestRaySearch(SearchCases):
    def test_queries_need_a_name(self, searching, tmp_path):
        root = tmp_path / "root"
        write_sharded(searching.frame(table(100)), config(root, "lsh"), columns("lsh"))
        with pytest.raises(ConfigValidationError, match="query_col"):
            search(searching.frame(queries()[1]), s3_prefix=str(root), local_root=str(tmp_path / "c"), vector_col="vec")


class Assigned:
    add = staticmethod(add_vector_db_id_column)

    @staticmethod
    def rows(frame):
        return frame.take_all()


@pytest.fixture
def assigned():
    return Assigned


class TestRayHelpers(HelperCases):
    pass


class TestRayAdapters(AdapterCases):
    pass
