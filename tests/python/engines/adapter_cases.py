"""What holds for shards that a user's own adapter writes in an engine's tasks."""

import numpy as np
import pytest
from adapters import FolderFactory, FolderReader, folder_of
from faulty_engine import FaultyEngine
from rows import COLOURS, DIM, STRATEGIES, columns, config, nearest, objects_below, open_reader, table
from shardyfusion.errors import ConfigValidationError
from shardyfusion.writer import _driver


def adapted(root, strategy, kind=None):
    given = config(root, strategy)
    given.adapter_factory = FolderFactory(kind)
    given.batch_size = 40
    return given


def check_adapted(result, root, rows, tmp_path):
    """All rows are there, once, where the result says, and found."""
    unused = {"local_dir": None, "index_config": None, "manifest": None}
    stored = [row for shard in result.winners for row in FolderReader(db_url=shard.db_url, **unused).rows]
    assert sorted(row[0] for row in stored) == list(range(rows.num_rows))
    assert all(payload == {"colour": COLOURS[number % 3], "size": number / 4} for number, _, payload in stored)
    for shard in result.winners:
        assert shard.db_bytes == (folder_of(shard.db_url) / "rows").stat().st_size
    assert len([path for path in objects_below(root) if path.endswith("/rows")]) == len(result.winners)
    with open_reader(root, tmp_path, reader_factory=FolderReader) as reader:
        assert reader.snapshot_info().run_id == result.run_id
        every_shard = [shard.db_id for shard in result.winners]
        for query in np.random.default_rng(2).standard_normal((5, DIM)).astype(np.float32):
            found = [str(each.id) for each in reader.search(query, 10, shard_ids=every_shard)]
            assert found == nearest(rows, query, 10)


class AdapterCases:
    @pytest.mark.essential
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_an_adapter_of_ones_own_writes_the_shards(self, engine, strategy, tmp_path):
        rows, root = table(300), tmp_path / "root"
        result = engine.write(engine.frame(rows), adapted(root, strategy), columns(strategy))
        check_adapted(result, root, rows, tmp_path)
        assert not [path for path in objects_below(root) if "partitions/" in path]

    @pytest.mark.parametrize("kind", ["killed", "twice"])
    def test_tasks_with_an_adapter_may_be_killed_or_run_twice(self, engine, kind, tmp_path):
        rows, root = table(300), tmp_path / "root"
        (tmp_path / "calls").mkdir()
        faulty = FaultyEngine(engine.wrap(engine.frame(rows)), kind, tmp_path / "calls", "task")
        check_adapted(_driver.write(faulty, adapted(root, "lsh"), columns("lsh"), None), root, rows, tmp_path)

    def test_an_adapter_that_fails_leaves_the_live_snapshot(self, engine, tmp_path):
        rows, root = table(200), tmp_path / "root"
        result = engine.write(engine.frame(rows), adapted(root, "lsh"), columns("lsh"))
        with pytest.raises(ConfigValidationError, match="the adapter has no room"):
            engine.write(engine.frame(rows), adapted(root, "lsh", "fails"), columns("lsh"))
        check_adapted(result, root, rows, tmp_path)

    def test_an_adapter_that_does_not_pickle_ends_the_run(self, engine, tmp_path):
        with pytest.raises(Exception, match="(?i)pickle|serialize"):
            engine.write(engine.frame(table(100)), adapted(tmp_path / "root", "lsh", "unpicklable"), columns("lsh"))
        assert objects_below(tmp_path / "root") == []
