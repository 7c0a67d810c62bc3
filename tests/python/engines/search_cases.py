"""What holds for searches by every engine: the answers are those of one reader. The tests of an engine give a fixture `searching`
with `frame`, `search` and `rows`, which collects a frame of results."""

import json
import threading

import numpy as np
import pyarrow as pa
import pytest
from rows import DIM, columns, config, open_reader, table
from shardyfusion.errors import ConfigValidationError, ReaderStateError
from shardyfusion.vector.writer import write_sharded

NUM_QUERIES = 240


def queries(seed=5):
    vectors = np.random.default_rng(seed).standard_normal((NUM_QUERIES, DIM)).astype(np.float32)
    names = [f"q{i}" for i in range(NUM_QUERIES)]
    values = {"name": pa.array(names), "vec": pa.array(vectors.tolist(), pa.list_(pa.float32()))}
    values["tenant"] = pa.array([f"t{i % 5}" for i in range(NUM_QUERIES)])
    whole = pa.table(values)
    return vectors, pa.concat_tables([whole.slice(first, 60) for first in range(0, NUM_QUERIES, 60)])


def expected(root, tmp_path, vectors, contexts=None, **keywords):
    """The same rows, by one reader."""
    found = []
    with open_reader(root, tmp_path) as reader:
        for number, vector in enumerate(vectors):
            given = keywords if contexts is None else keywords | {"routing_context": {"tenant": contexts[number]}}
            for rank, result in enumerate(reader.search(vector, **given), 1):
                found.append((f"q{number}", rank, str(result.id), result.score, result.payload))
    return sorted(found)


def collected(results):
    """Results as tuples, sorted."""
    found = [(row["query"], row["rank"], row["id"], row["score"], row["payload"]) for row in results]
    return sorted((*row[:4], json.loads(row[4]) if isinstance(row[4], str) else None) for row in found)


class SearchCases:
    @pytest.mark.essential
    @pytest.mark.parametrize(
        ("strategy", "grouped"),
        [("cluster", False), ("cel", False), ("cluster", True)],
        ids=["cluster", "cel", "grouped by shard"],
    )
    def test_the_answers_are_those_of_one_reader(self, searching, strategy, grouped, tmp_path):
        root = tmp_path / "root"
        write_sharded(table(), config(root, strategy), columns(strategy))
        vectors, frame = queries()
        contexts = [f"t{i % 5}" for i in range(NUM_QUERIES)] if strategy == "cel" else None
        given = {"routing_context_cols": ["tenant"]} if strategy == "cel" else {"num_probes": 2}
        results = searching.search(
            searching.frame(frame),
            s3_prefix=str(root),
            local_root=str(tmp_path / "cache"),
            vector_col="vec",
            query_col="name",
            top_k=5,
            group_by_shard=grouped,
            **given,
        )
        keywords = {"top_k": 5} if strategy == "cel" else {"top_k": 5, "num_probes": 2}
        assert searching.rows(results) == expected(root, tmp_path / "one", vectors, contexts, **keywords)

    def test_ids_can_be_integers_and_payloads_left_out(self, searching, tmp_path):
        root = tmp_path / "root"
        write_sharded(table(), config(root, "lsh", "sqlite-vec"), columns("lsh"))
        _, frame = queries()
        results = searching.search(
            searching.frame(frame),
            s3_prefix=str(root),
            local_root=str(tmp_path / "cache"),
            vector_col="vec",
            query_col="name",
            top_k=3,
            id_type="int",
            include_payloads=False,
            recall=0.9,
            filter="payload.size < 20.0",
        )
        rows = searching.rows(results)
        assert rows and all(isinstance(row[2], int) and row[2] < 80 and row[4] is None for row in rows)

    def test_what_is_published_meanwhile_changes_nothing(self, searching, tmp_path):
        root = tmp_path / "root"
        write_sharded(table(seed=1), config(root, "lsh"), columns("lsh"))
        vectors, frame = queries()
        before = expected(root, tmp_path / "one", vectors, top_k=5)
        results = searching.search(
            searching.frame(frame),
            s3_prefix=str(root),
            local_root=str(tmp_path / "cache"),
            vector_col="vec",
            query_col="name",
            top_k=5,
        )
        publishing = threading.Thread(
            target=write_sharded, args=(table(seed=9), config(root, "lsh"), columns("lsh"))
        )
        publishing.start()
        publishing.join()
        assert searching.rows(results) == before
        assert expected(root, tmp_path / "other", vectors, top_k=5) != before

    def test_what_is_wrong_is_said_before_the_job_begins(self, searching, tmp_path):
        _, frame = queries()
        root = tmp_path / "root"
        given = {"s3_prefix": str(root), "local_root": str(tmp_path / "cache"), "vector_col": "vec", "query_col": "name"}
        with pytest.raises(ReaderStateError, match="_CURRENT"):
            searching.search(searching.frame(frame), **given)
        write_sharded(table(100), config(root, "lsh"), columns("lsh"))
        with pytest.raises(ConfigValidationError, match="id_type"):
            searching.search(searching.frame(frame), **given, id_type="bytes")
