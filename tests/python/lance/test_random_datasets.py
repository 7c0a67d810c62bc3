"""Every row that the reader yields equals what lance reads: id, vector bit for bit, payload."""
import datasets
import pytest
import rows


@pytest.mark.parametrize("seed", range(200))
def test_rows_equal_what_lance_reads(seed, tmp_path):
    plan = datasets.plan(seed)
    path = tmp_path / "shard" / "vector_index.lance"
    datasets.write(plan, str(path))
    expected = rows.their_rows(path)
    flags = ("remote",) if seed % 4 == 3 else ()
    metric = ["cosine", "l2", "dot_product"][seed // 3 % 3]
    for attempt in ("first, without a cache", "second, with one"):
        assert rows.our_rows(path, plan.dim, tmp_path / "cache", metric, *flags) == expected, (attempt, plan)
