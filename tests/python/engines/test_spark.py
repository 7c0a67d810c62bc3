"""Spark writes snapshots."""

import os
import sys

import pytest
from adapter_cases import AdapterCases
from engine_cases import EngineCases
from helper_cases import HelperCases
from rows import check_answers, columns, config, table
from search_cases import SearchCases, collected, queries

pytest.importorskip("pyspark", reason="no wheel of pyspark for this Python")

from pyspark.sql import SparkSession  # noqa: E402
from shardyfusion.search.spark import search  # noqa: E402
from shardyfusion.writer.spark import write_sharded  # noqa: E402
from shardyfusion.writer.spark._engine import SparkEngine  # noqa: E402
from shardyfusion.writer.spark.sharding import add_vector_db_id_column  # noqa: E402


class Spark:
    write = staticmethod(write_sharded)
    wrap = SparkEngine

    def __init__(self, session):
        self.session = session

    def frame(self, rows):
        kinds = "id {}, vec array<{}>, colour string, size double, shard long, tenant string".format(
            "string" if str(rows.schema.field("id").type) == "string" else "long",
            "double" if "double" in str(rows.schema.field("vec").type) else "float",
        )
        for name in rows.column_names[6:]:
            kinds += f", {name} " + {"bool": "boolean", "string": "string", "int64": "long"}[str(rows.schema.field(name).type)]
        data = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        return self.session.createDataFrame(data, kinds)


def start():
    """A session of its own, with what speeds up small jobs."""
    session = (
        SparkSession.builder.master("local[2,3]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.extraJavaOptions", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.adaptive.enabled", "false")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", "100")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("OFF")
    return session


@pytest.fixture(scope="session")
def engine():
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.path.dirname(__file__), os.environ.get("PYTHONPATH")]))
    session = start()
    yield Spark(session)
    session.stop()


class TestSpark(EngineCases):
    def test_jobs_are_described_and_the_description_is_restored(self, engine, tmp_path):
        context = engine.session.sparkContext
        context.setJobDescription("mine")
        write_sharded(engine.frame(table(100)), config(tmp_path / "root"), columns())
        assert context.getLocalProperty("spark.job.description") == "mine"
        context.setLocalProperty("spark.job.description", None)


    def test_a_sample_is_drawn_by_the_ids_and_the_seed(self, engine, tmp_path):
        rows = table(600)
        frame = engine.frame(rows)
        sizes = {}
        for seed in (1, 2**64 - 1):
            for parts in (2, 5):
                sampled = SparkEngine(frame.repartition(parts)).sampled("id", seed, 0.25)
                sizes[seed, parts] = sorted(row["id"] for row in sampled._frame.select("id").collect())
        assert sizes[1, 2] == sizes[1, 5] != sizes[2**64 - 1, 2]
        assert 100 < len(sizes[1, 2]) < 200
        write_sharded(frame, config(tmp_path / "root", centroids_training_sample_size=100), columns())
        check_answers(tmp_path / "root", rows, tmp_path)


class SearchingSpark:
    search = staticmethod(search)

    def __init__(self, session):
        self.session = session

    def frame(self, rows):
        data = list(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        return self.session.createDataFrame(data, "name string, vec array<float>, tenant string")

    @staticmethod
    def rows(results):
        return collected(row.asDict() for row in results.collect())


@pytest.fixture
def searching(engine):
    return SearchingSpark(engine.session)


class TestSparkSearch(SearchCases):
    def test_queries_without_a_name_are_numbered(self, searching, engine, tmp_path):
        root = tmp_path / "root"
        write_sharded(engine.frame(table(100)), config(root, "lsh"), columns("lsh"))
        given = {"s3_prefix": str(root), "local_root": str(tmp_path / "c"), "vector_col": "vec", "top_k": 1}
        numbers = [row["query"] for row in search(searching.frame(queries()[1]).coalesce(1), **given).collect()]
        assert sorted(numbers) == list(range(240))


class Assigned:
    add = staticmethod(add_vector_db_id_column)

    @staticmethod
    def rows(frame):
        return [row.asDict() for row in frame.collect()]


@pytest.fixture
def assigned():
    return Assigned


class TestSparkHelpers(HelperCases):
    pass


class TestSparkAdapters(AdapterCases):
    pass
