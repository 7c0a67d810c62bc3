"""A write step by step, with the helpers; and the names of the engines' modules that code for the format's first library imports."""

import importlib
import inspect
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from rows import BACKENDS, DIM, STRATEGIES, check_answers, columns, config, shards_of, table, vectors_of
from shardyfusion import sharding_types
from shardyfusion.errors import ConfigValidationError, ShardCoverageError
from shardyfusion.vector import _distributed as steps
from shardyfusion.vector.writer import write_sharded

PACKAGE_TESTS = Path(__file__).resolve().parents[3] / "python" / "tests"
sys.path.insert(0, str(PACKAGE_TESTS))

from first_library_api import API, described, is_in_scope  # noqa: E402
from test_first_library_names import _check_signature  # noqa: E402

ENGINES = {"spark": "pyspark", "dask": "dask", "ray": "ray"}
COLUMN = (
    '(frame, *, vector_col: str, routing: ResolvedVectorRouting, shard_id_col: str | None = None, '
    'routing_context_cols: dict[str, str] | None = None, output_col: str = "_vector_db_id")'
)
STEPS = {
    "resolve_vector_routing": "(config, *, sample_vectors=None)",
    "assign_vector_shard": "(*, vector, routing, shard_id=None, routing_context=None)",
    "coerce_vector_value": "(value)",
    "write_vector_shard": "(*, db_id, rows, run_id, s3_prefix, shard_prefix, db_path_template, local_root, index_config, "
    "adapter_factory, batch_size, ops_limiter=None, metrics_collector=None)",
    "upload_routing_metadata": "(*, s3_prefix, run_id, centroids, hyperplanes, backend=None)",
    "publish_vector_manifest": "(*, config, run_id, num_dbs, winners, total_vectors, centroids_ref, hyperplanes_ref)",
    "resolve_adapter_factory": "(config)",
}


def payload_of(row):
    return {"colour": row["colour"], "size": row["size"]}


def write_by_steps(rows, settings):
    """The shards, and the manifest's reference."""
    sample = vectors_of(rows) if settings.sharding.train_centroids else None
    routing = steps.resolve_vector_routing(settings, sample_vectors=sample)
    shards = {}
    for row in rows.to_pylist():
        vector = np.asarray(row["vec"], dtype=np.float32)
        context = {"tenant": row["tenant"]} if routing.strategy == "cel" else None
        given = row["shard"] if routing.strategy == "explicit" else None
        number = steps.assign_vector_shard(vector=vector, routing=routing, shard_id=given, routing_context=context)
        shards.setdefault(number, []).append((row["id"], vector, payload_of(row)))
    output = settings.output
    winners = [
        steps.write_vector_shard(
            db_id=number,
            rows=iter(tuples),
            run_id="steps",
            s3_prefix=settings.s3_prefix,
            shard_prefix=output.shard_prefix,
            db_path_template=output.db_path_template,
            local_root=str(Path(settings.s3_prefix).with_suffix(".local")),
            index_config=settings.index_config,
            adapter_factory=steps.resolve_adapter_factory(settings),
            batch_size=50,
        )
        for number, tuples in shards.items()
    ]
    refs = steps.upload_routing_metadata(
        s3_prefix=settings.s3_prefix, run_id="steps", centroids=routing.centroids, hyperplanes=routing.hyperplanes
    )
    ref = steps.publish_vector_manifest(
        config=settings,
        run_id="steps",
        num_dbs=routing.num_dbs,
        winners=winners,
        total_vectors=rows.num_rows,
        centroids_ref=refs[0],
        hyperplanes_ref=refs[1],
    )
    return winners, ref


class TestSteps:
    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_a_snapshot_that_is_written_by_steps_is_that_of_the_writer(self, strategy, backend, tmp_path):
        rows = table(300)
        winners, ref = write_by_steps(rows, config(tmp_path / "steps", strategy, backend))
        assert check_answers(tmp_path / "steps", rows, tmp_path / "a") == "steps"
        assert ref.endswith("_run_id=steps/manifest") and sum(shard.row_count for shard in winners) == 300
        write_sharded(rows, config(tmp_path / "whole", strategy, backend), columns(strategy))
        ids = [str(i) for i in range(300)]
        if backend == "lance":
            assert shards_of(tmp_path / "steps", ids, tmp_path / "b") == shards_of(tmp_path / "whole", ids, tmp_path / "c")

    def test_a_manifest_needs_all_rows_and_each_shard_once(self, tmp_path):
        settings = config(tmp_path / "root", "explicit")
        winners, _ = write_by_steps(table(200), settings)
        given = {"config": settings, "run_id": "other", "num_dbs": 4, "centroids_ref": None, "hyperplanes_ref": None}
        for shards, total in ((winners[1:], 200), ([*winners, winners[0]], 250)):
            with pytest.raises(ShardCoverageError, match="winners: expected"):
                steps.publish_vector_manifest(winners=shards, total_vectors=total, **given)

    def test_routing_pickles(self, tmp_path):
        routing = steps.resolve_vector_routing(config(tmp_path, "lsh"))
        again = pickle.loads(pickle.dumps(routing))
        for vector in vectors_of(table(50)):
            assert steps.assign_vector_shard(vector=vector, routing=again) == steps.assign_vector_shard(
                vector=vector, routing=routing
            )

    def test_training_needs_a_sample(self, tmp_path):
        with pytest.raises(ConfigValidationError, match="sample_vectors: expected vectors"):
            steps.resolve_vector_routing(config(tmp_path, "cluster"))

    @pytest.mark.parametrize("value", [[1, 2.5], (1.0, 2.5), "[1.0, 2.5]", "[1.  2.5]", np.array([1, 2.5])])
    def test_a_vector_may_be_a_sequence_an_array_or_a_text(self, value):
        found = steps.coerce_vector_value(value)
        assert found.dtype == np.float32 and found.tolist() == [1.0, 2.5]

    @pytest.mark.parametrize("value", ["[a, b]", [[1.0], [2.0]], None, object()])
    def test_what_is_no_vector_is_refused(self, value):
        with pytest.raises(ConfigValidationError, match="vector: expected"):
            steps.coerce_vector_value(value)

    def test_a_limiter_is_asked_before_each_batch(self, tmp_path):
        class Limiter:
            tokens = 0

            def acquire(self, tokens=1):
                self.tokens += tokens

        limiter = Limiter()
        settings = config(tmp_path / "root", "explicit")
        shard = steps.write_vector_shard(
            db_id=2,
            rows=((i, np.full(DIM, i, np.float32), None) for i in range(25)),
            run_id="run",
            s3_prefix=str(tmp_path / "root"),
            shard_prefix="shards",
            db_path_template="db={db_id:05d}",
            local_root=str(tmp_path / "local"),
            index_config=settings.index_config,
            adapter_factory=BACKENDS["sqlite-vec"](),
            batch_size=10,
            ops_limiter=limiter,
        )
        assert limiter.tokens == 3
        assert (shard.db_id, shard.row_count) == (2, 25) and shard.db_bytes > 0 and shard.checkpoint_id


class TestNames:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_the_names_of_an_engine_are_there_as_they_were(self, engine):
        pytest.importorskip(ENGINES[engine], reason=f"no wheel of {engine} for this Python")
        module = f"shardyfusion.writer.{engine}"
        found = importlib.import_module(module)
        assert {"write_sharded", "write_vector_sharded"} <= set(API[module])
        for name in filter(is_in_scope, API[module]):
            _check_signature(f"{module}.{name}", described(module, name)["signature"], inspect.signature(getattr(found, name)))
        assert importlib.import_module(f"{module}.vector_writer").write_sharded is found.write_sharded
        sharding = importlib.import_module(f"{module}.sharding")
        assert sharding.VECTOR_DB_ID_COL == sharding_types.VECTOR_DB_ID_COL == "_vector_db_id"
        first = {"spark": "df", "dask": "ddf", "ray": "ds"}[engine]
        expected = COLUMN.replace("frame", first)
        _check_signature(f"{module}.sharding", expected, inspect.signature(sharding.add_vector_db_id_column))

    @pytest.mark.parametrize("name", STEPS)
    def test_the_steps_have_the_parameters_that_they_had(self, name):
        _check_signature(name, STEPS[name], inspect.signature(getattr(steps, name)))
        assert name in steps.__all__ and {"ResolvedVectorRouting", "VectorTuple"} <= set(steps.__all__)
