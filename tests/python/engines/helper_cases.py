"""What holds for the helpers of every engine: a column of shards, which are those of one machine's writer."""

import numpy as np
import pytest
from rows import NUM_DBS, STRATEGIES, columns, config, shards_of, table, vectors_of
from shardyfusion.errors import ConfigValidationError
from shardyfusion.vector._distributed import assign_vector_shard, resolve_vector_routing
from shardyfusion.vector.writer import write_sharded


def routing_of(rows, strategy, root="unused"):
    sample = vectors_of(rows) if strategy == "cluster" else None
    return resolve_vector_routing(config(root, strategy), sample_vectors=sample)


class HelperCases:
    @pytest.mark.essential
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_the_column_of_shards_is_what_one_machine_writes(self, engine, assigned, strategy, tmp_path):
        rows = table(300)
        write_sharded(rows, config(tmp_path / "root", strategy), columns(strategy))
        ids = [str(i) for i in range(rows.num_rows)]
        expected = shards_of(tmp_path / "root", ids, tmp_path)
        given = {"explicit": {"shard_id_col": "shard"}, "cel": {"routing_context_cols": {"tenant": "string"}}}.get(strategy, {})
        frame, num_dbs = assigned.add(engine.frame(rows), vector_col="vec", routing=routing_of(rows, strategy), **given)
        found = {str(row["id"]): int(row["_vector_db_id"]) for row in assigned.rows(frame)}
        assert found == expected
        assert num_dbs == (5 if strategy == "cel" else NUM_DBS)

    def test_other_columns_stay_as_they_are_and_the_new_one_may_be_named(self, engine, assigned):
        rows = table(200)
        routing = routing_of(rows, "lsh")
        frame, _ = assigned.add(engine.frame(rows), vector_col="vec", routing=routing, output_col="where")
        found = sorted(assigned.rows(frame), key=lambda row: row["id"])
        assert [row["colour"] for row in found] == rows.column("colour").to_pylist()
        assert [row["size"] for row in found] == rows.column("size").to_pylist()
        for row, vector in zip(found[:20], vectors_of(rows), strict=False):
            assert np.array_equal(np.asarray(row["vec"], dtype=np.float32), vector)
            assert row["where"] == assign_vector_shard(vector=vector, routing=routing)

    def test_columns_that_are_missing_or_taken_are_named(self, engine, assigned):
        rows = table(100)
        routing = routing_of(rows, "lsh")
        with pytest.raises(ConfigValidationError, match="expected a column 'other'"):
            assigned.add(engine.frame(rows), vector_col="other", routing=routing)
        with pytest.raises(ConfigValidationError, match="output_col: expected a name that no column has, found 'colour'"):
            assigned.add(engine.frame(rows), vector_col="vec", routing=routing, output_col="colour")
