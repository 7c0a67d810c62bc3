"""Dask writes snapshots."""

import os

import dask
import pytest
from adapter_cases import AdapterCases
from engine_cases import EngineCases
from helper_cases import HelperCases
from rows import check_answers, columns, config, table
from search_cases import SearchCases, collected, queries

dd = pytest.importorskip("dask.dataframe", reason="no wheel of dask for this Python")

from distributed import Client, LocalCluster  # noqa: E402
from shardyfusion.search.dask import search  # noqa: E402
from shardyfusion.writer.dask import write_sharded  # noqa: E402
from shardyfusion.writer.dask._engine import DaskEngine  # noqa: E402
from shardyfusion.writer.dask.sharding import add_vector_db_id_column  # noqa: E402


class Dask:
    write = staticmethod(write_sharded)
    wrap = DaskEngine

    @staticmethod
    def frame(rows):
        with dask.config.set({"dataframe.convert-string": False}):
            return dd.from_pandas(rows.to_pandas(integer_object_nulls=True), npartitions=3)


@pytest.fixture(scope="session")
def engine():
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.path.dirname(__file__), os.environ.get("PYTHONPATH")]))
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, Client(cluster):
        yield Dask


class TestDask(EngineCases):
    def test_vectors_that_dask_made_strings_of_are_parsed(self, engine, tmp_path):
        rows = table(200)
        frame = rows.to_pandas()
        frame["vec"] = frame["vec"].map(lambda vector: [float(component) for component in vector])
        with dask.config.set({"dataframe.convert-string": True}):
            write_sharded(dd.from_pandas(frame, npartitions=2), config(tmp_path / "root"), columns())
        check_answers(tmp_path / "root", rows, tmp_path)

    def test_threads_of_this_process_will_do(self, engine, tmp_path):
        rows = table(200)
        with dask.config.set(scheduler="threads"):
            write_sharded(engine.frame(rows), config(tmp_path / "root"), columns())
        check_answers(tmp_path / "root", rows, tmp_path)


class SearchingDask(Dask):
    search = staticmethod(search)

    @staticmethod
    def rows(results):
        return collected(results.compute().to_dict("records"))


@pytest.fixture
def searching(engine):
    return SearchingDask


class TestDaskSearch(SearchCases):
    def test_queries_without_a_name_are_numbered(self, searching, tmp_path):
        root = tmp_path / "root"
        write_sharded(searching.frame(table(100)), config(root, "lsh"), columns("lsh"))
        frame = searching.frame(queries()[1])
        given = {"s3_prefix": str(root), "local_root": str(tmp_path / "c"), "vector_col": "vec", "top_k": 1}
        numbers = sorted(search(frame, **given).compute()["query"])
        assert numbers == sorted((part << 33) + row for part in range(3) for row in range(80))


class Assigned:
    add = staticmethod(add_vector_db_id_column)

    @staticmethod
    def rows(frame):
        return frame.compute().to_dict("records")


@pytest.fixture
def assigned():
    return Assigned


class TestDaskHelpers(HelperCases):
    pass


class TestDaskAdapters(AdapterCases):
    pass
