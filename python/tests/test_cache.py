"""The local cache where a process or a machine is short of something: file descriptors, disk space, the right to write."""

import os
import pathlib
import resource
import subprocess
import sys

import numpy as np
import pytest
from shardyfusion.errors import ConfigValidationError, PoolExhaustedError, ShardyfusionError
from shardyfusion.sqlite_vec_adapter import SqliteVecFactory
from shardyfusion.vector import ShardedVectorReader
from shardyfusion.vector.writer import (
    VectorIndexConfig,
    VectorShardedWriteConfig,
    VectorShardingConfig,
    write_sharded,
)

DIM = 8
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems and becomes other users")


def build(root, rows, num_dbs, kind):
    adapter = {"adapter_factory": SqliteVecFactory()} if kind == "sqlite-vec" else {}
    config = VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=DIM, metric="l2"),
        sharding=VectorShardingConfig(num_dbs=num_dbs, strategy="explicit"),
        s3_prefix=str(root),
        **adapter,
    )
    vectors = np.random.default_rng(3).standard_normal((rows, DIM)).astype(np.float32)
    write_sharded(vectors, config, shard_ids=[row % num_dbs for row in range(rows)])
    return vectors


def search(root, cache, vectors, num_dbs, row=5, **options):
    with ShardedVectorReader(s3_prefix=str(root), local_root=str(cache), **options) as reader:
        found = reader.search(vectors[row], 3, shard_ids=range(num_dbs))
    assert str(found[0].id) == str(row)
    assert found.num_shards_queried == num_dbs


@pytest.fixture(params=["sqlite-vec", "lance"])
def kind(request):
    return request.param


@pytest.fixture
def few_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def small_disk(tmp_path):
    """A file system in memory, of so many bytes."""
    folder = tmp_path / "disk"

    def mount(size):
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip("no tmpfs can be mounted here")
        return folder

    yield mount
    subprocess.run(["umount", "-l", folder], capture_output=True)


@pytest.mark.parametrize("options", [{}, {"max_cached_shards": 20}, {"preload_shards": True}])
def test_more_shards_are_loaded_than_a_process_has_descriptors(tmp_path, kind, options, few_descriptors):
    vectors = build(tmp_path / "root", 600, 300, kind)
    few_descriptors(128)
    with ShardedVectorReader(s3_prefix=str(tmp_path / "root"), local_root=str(tmp_path / "cache"), **options) as reader:
        for row in (5, 299, 300, 599):
            found = reader.search(vectors[row], 3, shard_ids=range(300))
            assert str(found[0].id) == str(row)
            assert found.num_shards_queried == 300


def search_until_descriptors_are_back(reader, query):
    """Loads that began while there were none may fail still: each attempt waits for those, which then are over."""
    for _ in range(20):
        try:
            found = reader.search(query, 3, shard_ids=range(20))
        except PoolExhaustedError:
            continue
        assert str(found[0].id) == "5"
        return
    pytest.fail("descriptors stay used up")


def test_descriptors_that_others_used_up_are_an_error_that_may_be_tried_again(tmp_path, kind, few_descriptors):
    vectors = build(tmp_path / "root", 40, 20, kind)
    cache = tmp_path / "cache"
    search(tmp_path / "root", cache, vectors, 20)
    before = sorted(path.name for path in cache.rglob("*"))
    with ShardedVectorReader(s3_prefix=str(tmp_path / "root"), local_root=str(cache)) as reader:
        few_descriptors(128)
        taken = []
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        with pytest.raises(PoolExhaustedError, match="Too many open files") as raised:
            reader.search(vectors[5], 3, shard_ids=range(20))
        assert raised.value.retryable
        for descriptor in taken:
            os.close(descriptor)
        search_until_descriptors_are_back(reader, vectors[5])
    assert sorted(path.name for path in cache.rglob("*")) == before


@needs_root
def test_a_disk_that_is_full_is_named_and_nothing_is_left_on_it(tmp_path, small_disk):
    root = tmp_path / "root"
    vectors = build(root, 20000, 1, "sqlite-vec")
    disk = small_disk("4m")
    search(root, disk / "whole", vectors, 1)
    needed = (disk / "whole" / "shard_00000" / "vectors.sfv").stat().st_size
    (disk / "whole" / "shard_00000" / "vectors.sfv").unlink()
    failed = 0
    for left in range(-3, 3):  # pages around what is needed: none is a hole that a mapping could find
        filler = disk / "filler"
        status = os.statvfs(disk)
        filler.write_bytes(bytes(status.f_bavail * status.f_frsize - needed - left * status.f_frsize))
        script = (
            "import sys\n"
            "from shardyfusion.errors import ShardyfusionError\n"
            "from shardyfusion.vector import ShardedVectorReader\n"
            "with ShardedVectorReader(s3_prefix=sys.argv[1], local_root=sys.argv[2]) as reader:\n"
            "    try:\n"
            f"        reader.search([0.0] * {DIM}, 3, shard_ids=[0])\n"
            "    except ShardyfusionError as error:\n"
            "        sys.exit(str(error))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, root, disk / "cache"],
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 1), done  # and not killed by a signal
        if done.returncode:
            failed += 1
            assert "vectors.sfv.tmp: it needs at least" in done.stderr and "left: No space left" in done.stderr
            assert not [path for path in disk.rglob("*.tmp")] and not [path for path in disk.rglob("cache/*/vectors*")]
        else:
            (disk / "cache" / "shard_00000" / "vectors.sfv").unlink()
        filler.unlink()
    assert failed > 0


@needs_root
def test_a_cache_on_a_read_only_file_system_serves(tmp_path, kind, small_disk):
    root = tmp_path / "root"
    vectors = build(root, 400, 4, kind)
    disk = small_disk("20m")
    search(root, disk / "cache", vectors, 4)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    search(root, disk / "cache", vectors, 4)
    search(root, disk / "cache", vectors, 4, max_cached_shards=1, max_cache_bytes=1)


@needs_root
def test_other_users_search_a_cache_that_is_not_theirs_to_write(tmp_path, kind):
    root = tmp_path / "root"
    cache = tmp_path / "cache"
    vectors = build(root, 400, 4, kind)
    search(root, cache, vectors, 4)
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_uid == os.geteuid() and folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    workers = []
    for _ in range(2):
        worker = os.fork()
        if worker == 0:
            status = 1
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                search(root, cache, vectors, 4)
                status = 0
            finally:
                os._exit(status)
        workers.append(worker)
    assert [os.waitpid(worker, 0)[1] for worker in workers] == [0, 0]


def refused(root, cache, vectors, num_dbs):
    with pytest.raises(ShardyfusionError) as raised:
        search(root, cache, vectors, num_dbs)
    return raised.value


@needs_root
def test_a_cache_that_another_user_could_have_filled_is_refused(tmp_path, kind):
    vectors = build(tmp_path / "root", 40, 4, kind)
    cache = tmp_path / "cache"
    cache.mkdir()
    os.chown(cache, 65534, 65534)
    cache.chmod(0o777)
    error = refused(tmp_path / "root", cache, vectors, 4)
    assert isinstance(error, ConfigValidationError)
    assert str(cache) in str(error) and "others may write to it" in str(error)
    assert list(cache.iterdir()) == []


def test_a_link_in_place_of_a_shards_folder_is_named_and_its_target_stays(tmp_path):
    vectors = build(tmp_path / "root", 40, 4, "sqlite-vec")
    cache = tmp_path / "cache"
    target = tmp_path / "precious"
    cache.mkdir()
    target.mkdir()
    (target / "file").write_text("kept")
    (cache / "shard_00002").symlink_to(target)
    error = refused(tmp_path / "root", cache, vectors, 4)
    assert "shard_00002" in str(error) and "symbolic link" in str(error)
    assert [path.name for path in target.iterdir()] == ["file"]
    (cache / "shard_00002").unlink()
    (tmp_path / "linked").symlink_to(cache)  # the cache's own folder may be a link
    search(tmp_path / "root", tmp_path / "linked", vectors, 4)
