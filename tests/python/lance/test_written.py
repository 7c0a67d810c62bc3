"""Datasets that our writer makes are read by lance, and by our reader, as they were given."""
import random
import resource
import subprocess

import lance
import numpy as np
import pytest
import rows
import written

MAX_COMPONENTS = 300_000


def random_rows(seed: int) -> tuple[list, int]:
    rng = random.Random(seed)
    dim = rng.choice([1, 2, 3, 7, 16, 64, 100, 384, 1536, 2048])
    count = min(rng.choice([1, 2, 3, 64, 999, 5000, 70_000]), max(1, MAX_COMPONENTS // dim))
    payload_kind = written.PAYLOAD_KINDS[seed % len(written.PAYLOAD_KINDS)]
    if payload_kind == "huge":
        count = min(count, 60)
    return written.make_rows(seed, count, dim, rng.choice(written.ID_KINDS), payload_kind), dim


@pytest.mark.parametrize("seed", range(36))
def test_lance_and_our_reader_read_what_was_written(seed, tmp_path):
    given, dim = random_rows(seed)
    path = written.write(tmp_path / "shard", given, dim)
    lance.dataset(str(path)).validate()
    assert rows.their_rows(path) == written.expected(given)
    assert rows.our_rows(path, dim, tmp_path / "cache") == written.expected(given)


def test_rows_can_be_taken_filtered_and_searched(tmp_path):
    given = written.make_rows(1, 20_000, 64)
    dataset = lance.dataset(str(written.write(tmp_path / "shard", given, 64)))
    wanted = random.Random(1).sample(range(len(given)), 500)
    taken = dataset.take(wanted)
    assert taken["id"].to_pylist() == [given[i][0] for i in wanted]
    assert taken["payload"].to_pylist() == [given[i][2] for i in wanted]
    assert [v.tobytes() for v in rows.their_vectors(taken["vector"])] == [given[i][1].tobytes() for i in wanted]
    assert dataset.count_rows("payload IS NULL") == sum(payload is None for _, _, payload in given)
    assert dataset.to_table(filter="id = 'doc-777'")["payload"].to_pylist() == [given[777][2]]
    vectors = np.stack([vector for _, vector, _ in given])
    for i in wanted[:3]:
        distances = ((vectors - vectors[i]) ** 2).sum(axis=1)
        nearest = {"column": "vector", "q": vectors[i], "k": 10, "use_index": False}
        assert dataset.to_table(nearest=nearest)["id"].to_pylist() == [given[j][0] for j in distances.argsort()[:10]]


def test_a_shard_without_rows_is_an_empty_dataset(tmp_path):
    dataset = lance.dataset(str(written.write(tmp_path / "shard", [], 8)))
    dataset.validate()
    assert dataset.count_rows() == 0
    assert [str(field.type) for field in dataset.schema] == ["string", "fixed_size_list<item: float>[8]", "string"]
    assert rows.our_rows(tmp_path / "shard" / "vector_index.lance", 8, tmp_path / "cache") == []


def test_schema_version_and_names_are_those_that_lance_chooses(tmp_path):
    theirs = tmp_path / "theirs"
    ours = lance.dataset(str(written.write(tmp_path / "shard", written.make_rows(1, 5, 4), 4)))
    dataset = lance.write_dataset(ours.to_table(), str(theirs), data_storage_version="2.0", enable_v2_manifest_paths=True)
    assert ours.schema == dataset.schema
    assert ours.data_storage_version == dataset.data_storage_version
    assert [path.name for path in (tmp_path / "shard" / "vector_index.lance" / "_versions").glob("*.manifest")] == [
        path.name for path in (theirs / "_versions").glob("*.manifest")
    ]


@pytest.mark.skipif(rows.IS_SANITIZED, reason="the address sanitizer takes more memory than any limit of ours")
def test_memory_does_not_grow_with_the_rows(tmp_path):
    dim, count = 256, 120_000
    vector = np.ones(dim, dtype=np.float32)
    row = written.encode(("doc-1", vector, '{"text": "' + "x" * 300 + '"}'))
    limit = 24 << 20
    command = [written.WRITE, tmp_path / "shard", str(dim)]
    limited = lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    with subprocess.Popen(command, stdin=subprocess.PIPE, preexec_fn=limited) as process:
        for _ in range(count // 100):
            process.stdin.write(100 * row)
    assert process.returncode == 0
    assert lance.dataset(str(tmp_path / "shard" / "vector_index.lance")).count_rows() == count
