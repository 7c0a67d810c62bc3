"""Writing arrays: of any layout, mapped from files, with routing beside them."""


import numpy as np
import pytest
from shardyfusion.errors import ConfigValidationError
from shardyfusion.vector import ShardedVectorReader
from shardyfusion.vector.writer import write_sharded
import writing
from writing import (
    CEL,
    EXPLICIT,
    SHARDS,
    STRATEGIES,
    assert_finds,
    configure,
    language_of,
    make_records,
    open_reader,
    payload_of,
)

DIM, ROWS, SEED = writing.DIM, writing.ROWS, writing.SEED


def strided(array):
    wide = np.zeros((2 * len(array), DIM + 3), array.dtype)
    wide[::2, 2:-1] = array
    return wide[::2, 2:-1]


def unaligned(array):
    room = np.zeros(array.nbytes + 1, np.uint8)
    room[1:] = np.frombuffer(array.tobytes(), np.uint8)
    return room[1:].view(array.dtype).reshape(array.shape)


LAYOUTS = {
    "contiguous": lambda array: array,
    "fortran": np.asfortranarray,
    "strided": strided,
    "backwards": lambda array: array[::-1].copy()[::-1],
    "unaligned": unaligned,
    "memoryview": memoryview,
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_any_layout_are_taken(root, vectors, layout, dtype):
    typed = vectors.astype(dtype)
    config = configure(root, batch_size=33)
    write_sharded(LAYOUTS[layout](typed), config, ids=np.arange(ROWS) * 10, payloads=[payload_of(i) for i in range(ROWS)])
    assert_finds(root, typed.astype(np.float32), identify=lambda row: 10 * row, rows_with_payload=payload_of)


def test_an_array_may_be_mapped_from_a_file(root, vectors, tmp_path):
    np.save(tmp_path / "vectors.npy", vectors)
    write_sharded(np.load(tmp_path / "vectors.npy", mmap_mode="r"), configure(root))
    assert_finds(root, vectors)


def test_rows_without_ids_are_numbered(root, vectors):
    write_sharded(vectors, configure(root))
    assert_finds(root, vectors, rows_with_payload=lambda row: None)


def test_routing_may_be_passed_beside_an_array(tmp_path, vectors):
    shard_ids = np.arange(ROWS) % SHARDS
    contexts = [{"language": language_of(row)} for row in range(ROWS)]
    write_sharded(vectors, configure(tmp_path / "a", EXPLICIT), shard_ids=shard_ids)
    write_sharded(vectors, configure(tmp_path / "b", CEL), routing_contexts=contexts)
    for name in "ab":
        with open_reader(tmp_path / name) as reader:
            assert [shard.vector_count for shard in reader.shard_details()] == [ROWS // SHARDS] * SHARDS


@pytest.mark.parametrize("name", ["ids", "payloads", "shard_ids", "routing_contexts"])
def test_mismatched_counts_are_named(root, vectors, name):
    with pytest.raises(ConfigValidationError, match=f"^{name}: expected 400, one for each vector, found 399"):
        write_sharded(vectors, configure(root), **{name: [0] * (ROWS - 1)})


def test_an_invalid_array_is_refused_by_name(root, vectors):
    config = configure(root, batch_size=5)
    bad = vectors.copy()
    bad[17, 3] = np.nan
    for rows, extra, message in [
        (bad, {}, "vectors: row 17: component 3: expected a finite number (as float32), found nan"),
        (vectors[:, :5], {}, "vectors: expected 12 components, found 5"),
        (vectors, {"ids": ["x"] * 17 + [None] * (ROWS - 17)}, "ids: row 17: expected an integer of 64 bits or a string, found None"),
        (np.zeros((3, DIM), np.complex64), {}, "vectors: expected an array of numbers, found ndarray of complex64, shape (3, 12)"),
    ]:
        with pytest.raises(ConfigValidationError) as raised:
            write_sharded(rows, config, **extra)
        assert str(raised.value) == message
    with pytest.raises(ConfigValidationError, match="^payloads: row 17: "):
        write_sharded(vectors, config, payloads=[{}] * 17 + ["{"] * (ROWS - 17))
    with pytest.raises(ConfigValidationError, match="^ids, payloads, shard_ids, routing_contexts: expected them only"):
        write_sharded(make_records(vectors), config, ids=list(range(ROWS)))
    assert not (root / "_CURRENT").exists()


@pytest.mark.parametrize("rows", [np.zeros((0, DIM), np.float32), []], ids=["array", "records"])
def test_no_rows_are_nothing_to_train_with(root, rows):
    with pytest.raises(ConfigValidationError, match="expected at least one row"):
        write_sharded(rows, configure(root, STRATEGIES["cluster"]))
    assert not (root / "_CURRENT").exists()


@pytest.mark.parametrize("rows", [np.zeros((0, DIM), np.float32), []], ids=["array", "records"])
def test_no_rows_are_an_empty_snapshot_with_a_warning(root, tmp_path, caplog, rows):
    result = write_sharded(rows, configure(root, STRATEGIES["lsh"]))
    assert "no rows: the snapshot is empty" in caplog.text
    assert result.winners == [] and result.stats.rows_written == 0
    with ShardedVectorReader(s3_prefix=root, local_root=tmp_path / "cache") as reader:
        assert reader.snapshot_info().total_vectors == 0
        assert len(reader.search(np.ones(DIM, np.float32), 3)) == 0
        assert reader.count() == 0 and reader.fetch([1]) == [None]
