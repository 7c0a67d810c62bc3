"""What random datasets don't reach: layouts of folders, refusals, damage."""
import json
import pathlib
import random
import resource
import shutil
import struct
import subprocess

import lance
import numpy as np
import pyarrow as pa
import pytest
import rows


def table(count: int, dim: int = 4, first: int = 0, item_type: str = "float32", payload=lambda i: f'{{"n": {i}}}' if i % 3 else None) -> pa.Table:
    values = np.random.default_rng(first).standard_normal((count, dim)).astype(item_type)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), dim)
    return pa.table({"id": pa.array([f"doc-{first + i}" for i in range(count)], pa.string()), "vector": vectors, "payload": pa.array([payload(first + i) for i in range(count)], pa.string())})


@pytest.fixture
def path(tmp_path) -> pathlib.Path:
    return tmp_path / "shard" / "vector_index.lance"


def check(path: pathlib.Path, dim: int, tmp_path: pathlib.Path, *flags: str):
    assert rows.our_rows(path, dim, tmp_path / "cache", "cosine", *flags) == rows.their_rows(path)


def refusal(path: pathlib.Path, dim: int, tmp_path: pathlib.Path, *flags: str) -> str:
    done = rows.dump(path, dim, tmp_path / "cache", "cosine", *flags)
    assert done.returncode == 1, done.stdout[:200]
    assert done.stderr.splitlines()[-1 if "remote" not in flags else -2].startswith("DbAdapterError: "), done.stderr
    return done.stderr


def patch_manifest(path: pathlib.Path, extra: bytes):
    """Adds fields to the newest manifest's message, which lies at the file's end."""
    manifest = sorted((path / "_versions").glob("*.manifest"), key=lambda p: (len(p.stem), p.stem), reverse=len(next((path / "_versions").glob("*.manifest")).stem) < 20)[0]
    file = manifest.read_bytes()
    position = struct.unpack_from("<Q", file, len(file) - 16)[0]
    length = struct.unpack_from("<I", file, position)[0]
    message = file[position + 4 : position + 4 + length] + extra
    manifest.write_bytes(file[:position] + struct.pack("<I", len(message)) + message + file[-16:])


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_many_deletions_come_as_a_roaring_bitmap(version, path, tmp_path):
    numbered = table(20000, 2).append_column("n", pa.array(range(20000)))
    lance.write_dataset(numbered, str(path), data_storage_version=version).delete("n % 3 = 1")
    assert list(path.glob("_deletions/*.bin"))
    check(path, 2, tmp_path)


def test_vectors_beside_key_value_data_lie_a_folder_deeper(path, tmp_path):
    deeper = path.parent / "vector" / "vector_index.lance"
    lance.write_dataset(table(100), str(deeper))
    done = subprocess.run([rows.DUMP, tmp_path, "shard", "4", "cosine", tmp_path / "cache" / "shard_00000", "unified"], capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 100, done.stderr


@pytest.mark.parametrize("v2_names", [False, True])
def test_the_newest_version_is_read(v2_names, path, tmp_path):
    lance.write_dataset(table(10), str(path), enable_v2_manifest_paths=v2_names)
    for number in range(1, 12):
        lance.write_dataset(table(10, first=number * 10), str(path), mode="append")
    check(path, 4, tmp_path)


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_bfloat16_is_converted(version, path, tmp_path):
    """1.5, -2.25, 0.125 and 3, in the extension type that lance has for them."""
    item = pa.field("item", pa.binary(2), metadata={"ARROW:extension:name": "lance.bfloat16", "ARROW:extension:metadata": ""})
    values = pa.array([b"\xc0\x3f", b"\x10\xc0", b"\x00\x3e", b"\x40\x40"], pa.binary(2))
    vectors = pa.FixedSizeListArray.from_arrays(values, type=pa.list_(item, 2))
    lance.write_dataset(pa.table({"id": ["a", "b"], "vector": vectors}), str(path), data_storage_version=version)
    got = rows.our_rows(path, 2, tmp_path / "cache")
    assert [np.frombuffer(v, np.float32).tolist() for _, v, _ in got] == [[1.5, -2.25], [0.125, 3.0]]


def test_float64_beyond_float32_is_not_found(path, tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 1e300, 1.0, 2.0]), 2)
    lance.write_dataset(pa.table({"id": ["a", "b"], "vector": vectors}), str(path))
    assert [i for i, _, _ in rows.our_rows(path, 2, tmp_path / "cache")] == ["b"]


def test_a_dataset_without_rows_is_searched_in_vain(path, tmp_path):
    lance.write_dataset(table(0), str(path))
    check(path, 4, tmp_path)
    lance.write_dataset(table(5), str(path), mode="append")
    lance.dataset(str(path)).delete("true")
    check(path, 4, tmp_path)


def test_columns_in_files_of_their_own_are_found(path, tmp_path):
    """A column that is added later, or written anew, lies in another file; and a struct may have fields of our names."""
    nested = pa.array([{"id": i, "vector": "x", "payload": None} for i in range(50)])
    columns = table(50)
    dataset = lance.write_dataset(pa.table({"nested": nested, "id": columns["id"], "vector": columns["vector"]}), str(path))
    check(path, 4, tmp_path)
    dataset.add_columns({"payload": "concat(id, ' later')"})
    check(path, 4, tmp_path)
    dataset.drop_columns(["nested"])
    check(path, 4, tmp_path, "remote")


def test_an_unknown_reader_flag_is_refused_by_number(path, tmp_path):
    lance.write_dataset(table(10), str(path))
    patch_manifest(path, b"\x48\x80\x08")  # field 9: 1024
    assert "reader feature flag 1024" in refusal(path, 4, tmp_path)


def test_another_type_of_items_is_refused_by_name(path, tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(range(8), pa.uint8()), 4)
    lance.write_dataset(pa.table({"id": ["a", "b"], "vector": vectors}), str(path))
    assert "fixed_size_list:uint8:4" in refusal(path, 4, tmp_path)


def test_another_dimension_is_refused(path, tmp_path):
    lance.write_dataset(table(10), str(path))
    assert "expected dimension 5, found 4" in refusal(path, 5, tmp_path)


@pytest.mark.parametrize("version", ["2.3", "next"])
def test_the_next_file_version_is_refused_by_number(version, path, tmp_path):
    """Its pages have layouts of their own (lance.encodings23.PlanarLayout), which lance itself calls unstable."""
    lance.write_dataset(table(100), str(path), data_storage_version=version)
    assert "file version 2.3 is not supported, expected 2.0, 2.1 or 2.2" in refusal(path, 4, tmp_path)
    assert "file version 2.3" in refusal(path, 4, tmp_path, "remote")


def test_old_file_versions_are_refused_by_number(path, tmp_path):
    lance.write_dataset(table(10), str(path))
    file = next(path.glob("data/*.lance"))
    data = bytearray(file.read_bytes())
    data[-8:-4] = struct.pack("<HH", 2, 7)
    file.write_bytes(data)
    assert "file version 2.7" in refusal(path, 4, tmp_path)


def test_a_missing_file_is_named(path, tmp_path):
    lance.write_dataset(table(10), str(path))
    file = next(path.glob("data/*.lance"))
    file.unlink()
    assert f"data/{file.name} is missing" in refusal(path, 4, tmp_path)


def test_a_truncated_file_is_named(path, tmp_path):
    lance.write_dataset(table(1000), str(path))
    file = next(path.glob("data/*.lance"))
    file.write_bytes(file.read_bytes()[:-100])
    assert f"data/{file.name}" in refusal(path, 4, tmp_path)


def test_missing_deletions_are_named(path, tmp_path):
    lance.write_dataset(table(10), str(path)).delete("id = 'doc-1'")
    for file in path.glob("_deletions/*"):
        file.unlink()
    assert "_deletions/0-1-" in refusal(path, 4, tmp_path)


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
@pytest.mark.parametrize("dim", [4, 256])
def test_verifying_reads_everything_and_leaves_the_cache_alone(version, dim, path, tmp_path):
    lance.write_dataset(table(1000, dim), str(path), data_storage_version=version)
    for flags in (["verify"], ["verify", "remote"]):
        done = rows.dump(path, dim, tmp_path / "cache", "cosine", *flags)
        assert done.returncode == 0, done.stderr
        assert "1000 rows" in done.stderr
    assert not (tmp_path / "cache" / "shard_00000").exists()
    assert not list((tmp_path / "cache").glob("*"))


# -------------------------------------------------------------------------------------------------------------- Encodings

PAYLOADS = {
    "runs": lambda i: '{"colour": "%s"}' % ["red", "green", "blue"][i // 500 % 3],
    "few": lambda i: '{"colour": "%s"}' % ["red", "green", "blue", "violet"][i * i * 31 % 17 % 4],
    "runs of none": lambda i: '{"colour": "red"}' if i // 700 % 2 else None,
    "runs and none": lambda i: None if i % 1000 < 300 else '{"colour": "%s"}' % ["red", "green"][i // 500 % 2],
}


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
@pytest.mark.parametrize("kind", PAYLOADS)
def test_payloads_that_repeat_are_read(version, compression, kind, path, tmp_path):
    """Dictionaries, and their indices by runs, by bits, and under general compression; constants with and without nulls."""
    columns = table(20000, 2, payload=PAYLOADS[kind])
    metadata = {"lance-encoding:compression": compression} if compression else None
    columns = columns.cast(columns.schema.set(2, pa.field("payload", pa.string(), metadata=metadata)))
    lance.write_dataset(columns, str(path), data_storage_version=version)
    check(path, 2, tmp_path)


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
@pytest.mark.parametrize("dim", [4, 100])
@pytest.mark.parametrize("item_type", ["float32", "float16"])
def test_vectors_with_a_null_item_are_not_found(version, dim, item_type, path, tmp_path):
    generator = np.random.default_rng(dim)
    mask = generator.random(3000 * dim) < 0.1 / dim
    values = pa.array(generator.standard_normal(3000 * dim).astype(item_type), mask=mask)
    vectors = pa.FixedSizeListArray.from_arrays(values, dim, mask=pa.array(generator.random(3000) < 0.05))
    lance.write_dataset(pa.table({"id": [str(i) for i in range(3000)], "vector": vectors}), str(path), data_storage_version=version)
    check(path, dim, tmp_path)
    assert 2000 < len(rows.our_rows(path, dim, tmp_path / "cache")) < 2900


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("nulls", ["none", "all", "first", "last", "some"])
def test_rows_without_a_vector_count_and_are_found_by_their_ids(version, deleted, nulls, path, tmp_path):
    """Fragments of 500 rows, in some of which every vector is null: those have a page without vectors."""
    without = {"none": [], "all": [0, 1, 2], "first": [0], "last": [2], "some": [0, 2]}[nulls]
    columns = table(1500)
    mask = pa.array([i // 500 in without or (nulls == "some" and i % 7 == 0) for i in range(1500)])
    vectors = pa.FixedSizeListArray.from_arrays(columns["vector"].combine_chunks().flatten(), 4, mask=mask)
    columns = columns.set_column(1, "vector", vectors)
    for first in range(0, 1500, 500):
        dataset = lance.write_dataset(columns.slice(first, 500), str(path), data_storage_version=version, mode="append" if first else "create")
    if deleted:
        dataset.delete("id in ('doc-3', 'doc-777', 'doc-1499')")
    expected = 1497 if deleted else 1500
    check(path, 4, tmp_path)
    done = rows.dump(path, 4, tmp_path / "cache", "cosine", "ids")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"counted": expected, "read": expected, "found": expected}


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_many_small_vectors_are_decoded_in_batches(version, path, tmp_path):
    lance.write_dataset(table(30000, 20, payload=lambda i: None), str(path), data_storage_version=version)
    check(path, 20, tmp_path)


# ---------------------------------------------------------------------------------------------------------------- Storage


def requests_of(path, dim, tmp_path):
    done = rows.dump(path, dim, tmp_path / "cache", "cosine", "remote")
    assert done.returncode == 0, done.stderr
    return int(done.stderr.splitlines()[-1].split()[0])


def test_a_small_file_is_fetched_once(path, tmp_path):
    lance.write_dataset(table(2000, 64), str(path))
    assert requests_of(path, 64, tmp_path) <= 6  # two listings, the manifest, the end of the file, the rest of it in a piece
    assert requests_of(path, 64, tmp_path) <= 3  # listings and manifest


def test_of_a_large_file_only_the_vectors_are_fetched(path, tmp_path):
    """Ids and payloads of 5 MB are left where they are, and read row by row."""
    lance.write_dataset(table(5000, 8, payload=lambda i: "x" * 1000 + str(i)), str(path), data_storage_version="2.0")
    check(path, 8, tmp_path, "remote")
    mirror = next((tmp_path / "cache" / "shard_00000").glob("*.mirror"))
    assert mirror.stat().st_blocks * 512 < mirror.stat().st_size // 2


def test_damage_in_a_row_is_found_when_the_row_is_read(path, tmp_path):
    lance.write_dataset(table(5000, 8, payload=lambda i: "x" * 1000 + str(i)), str(path), data_storage_version="2.0")
    file = next(path.glob("data/*.lance"))
    file.write_bytes(file.read_bytes().replace(b"xxx4321", b"xx\xff4321"))
    for flags in ([], ["remote"], ["verify"]):
        said = refusal(path, 8, tmp_path, *flags)
        assert f"data/{file.name}: column payload: page 0: row 4321 is not valid UTF-8" in said


def test_a_mirror_that_went_bad_is_fetched_again(path, tmp_path):
    lance.write_dataset(table(2000, 64), str(path))
    check(path, 64, tmp_path, "remote")
    mirror = next((tmp_path / "cache" / "shard_00000").glob("*.mirror"))
    data = bytearray(mirror.read_bytes())
    data[1000] ^= 1
    mirror.write_bytes(data)
    check(path, 64, tmp_path, "remote")


# ----------------------------------------------------------------------------------------------------------------- Damage


def limit_memory():
    if not rows.IS_SANITIZED:
        resource.setrlimit(resource.RLIMIT_DATA, (256 << 20, 256 << 20))
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_damaged_datasets_neither_crash_nor_hang_nor_take_memory(version, path, tmp_path):
    rng = random.Random(version)
    dataset = lance.write_dataset(table(300, 4), str(path), data_storage_version=version)
    lance.write_dataset(table(40, 4, 300, payload=lambda i: "long " * 200 if i % 2 else None), str(path), mode="append")
    lance.dataset(str(path)).delete("id IN ('doc-7', 'doc-9')")
    files = sorted(p for pattern in ("data/*", "_versions/*", "_deletions/*") for p in path.glob(pattern))
    copy = tmp_path / "copy" / "vector_index.lance"
    for attempt in range(60):
        shutil.rmtree(copy.parent, ignore_errors=True)
        shutil.copytree(path, copy)
        victim = copy / rng.choice(files).relative_to(path)
        data = bytearray(victim.read_bytes())
        for _ in range(rng.choice([1, 1, 3, 30])):
            # Rather the end, where the metadata lies.
            position = len(data) - 1 - min(int(rng.expovariate(1 / 400)), len(data) - 1) if rng.random() < 0.7 else rng.randrange(len(data))
            data[position] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, data[position] ^ 1 << rng.randrange(8)])
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        victim.write_bytes(data)
        command = [rows.DUMP, copy.parent.parent, "copy", "4", "l2", tmp_path / "cache" / f"shard_{attempt:05d}", *rng.choice([[], ["remote"], ["verify"]])]
        done = subprocess.run(command, capture_output=True, timeout=60, preexec_fn=limit_memory)
        assert done.returncode in (0, 1), (attempt, victim, done.returncode, done.stderr[-500:])
        assert done.returncode == 0 or b"DbAdapterError" in done.stderr, done.stderr[-500:]
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
