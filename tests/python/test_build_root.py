"""Looking after a root: what is left behind is removed, what is published can be gone back to, builds don't collide."""

import shutil
import subprocess
import time

import numpy as np
import pytest
from build_roots import all_files, run_ids


@pytest.fixture
def build(cli, tmp_path):
    """Builds a snapshot at tmp_path/root whose vectors depend on the seed."""
    def run(seed, *options, count=200):
        path = tmp_path / f"x{seed}.npy"
        np.save(path, np.random.default_rng(seed).normal(size=(count, 8)).astype("f4"))
        return cli.one("build", tmp_path / "root", "--vectors", path, "--num-dbs", 3, "--seed", seed, *options)

    return run


def leave_behind(root, run_id, age_seconds=None):
    """What a run that was killed before it was published leaves."""
    folder = root / "shards" / f"run_id={run_id}" / "db=00000" / "attempt=00"
    folder.mkdir(parents=True)
    (folder / "shard.db").write_bytes(b"half")
    artifact = root / "vector_meta" / f"run_id={run_id}" / "centroids.npy"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(b"half")
    if age_seconds is not None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - age_seconds))
        record = root / "runs" / f"{stamp}_run_id={run_id}_{'0' * 32}" / "run.yaml"
        record.parent.mkdir(parents=True)
        record.write_text(f"run_id: '{run_id}'\nstatus: running\nupdated_at: '{stamp}'\n")


def test_cleanup_removes_what_no_manifest_refers_to(cli, build, tmp_path):
    root = tmp_path / "root"
    build(1)
    build(2)
    files = all_files(root)
    assert cli.lines("cleanup", root, "--yes", "--older-than", 0) == []
    leave_behind(root, "dead", age_seconds=90_000)
    found = cli.lines("cleanup", root)
    assert [(f["run_id"], f["num_objects"], f["is_due"], f["is_removed"]) for f in found] == [("dead", 3, True, False)]
    assert len(all_files(root)) == len(files) + 3
    found = cli.lines("cleanup", root, "--yes")
    assert [(f["run_id"], f["is_removed"]) for f in found] == [("dead", True)]
    assert all_files(root) == files
    assert not (root / "shards" / "run_id=dead").exists()


def test_cleanup_leaves_alone_what_may_be_under_way(cli, build, tmp_path):
    root = tmp_path / "root"
    build(1)
    leave_behind(root, "young", age_seconds=100)
    leave_behind(root, "unknown")
    files = all_files(root)
    found = {f["run_id"]: f for f in cli.lines("cleanup", root, "--yes")}
    assert not found["young"]["is_due"] and not found["unknown"]["is_due"]
    assert found["unknown"]["age_seconds"] is None
    assert all_files(root) == files
    found = {f["run_id"]: f["is_removed"] for f in cli.lines("cleanup", root, "--yes", "--older-than", 50)}
    assert found == {"young": True, "unknown": False}
    cli.lines("cleanup", root, "--delete", "--older-than", 0)
    assert len(run_ids(root, "shards")) == 1


def test_cleanup_keeps_what_a_broken_manifest_or_pointer_names(cli, build, tmp_path):
    root = tmp_path / "root"
    first = build(1)
    for path in (root / "manifests").rglob("manifest"):
        path.write_bytes(b"broken")
    files = all_files(root)
    assert cli.lines("cleanup", root, "--yes", "--older-than", 0) == []
    assert all_files(root) == files
    shutil.rmtree(root / "manifests")
    assert cli.lines("cleanup", root, "--yes", "--older-than", 0) == []
    assert run_ids(root, "shards") == {first["run_id"]}


def test_cleanup_of_a_pointer_that_can_not_be_read_removes_nothing(cli, build, tmp_path):
    root = tmp_path / "root"
    build(1)
    leave_behind(root, "dead", age_seconds=90_000)
    (root / "_CURRENT").write_text("{")
    files = all_files(root)
    cli.fails("ManifestParseError", "cleanup", root, "--yes", names=["_CURRENT"])
    assert all_files(root) == files


def test_rollback_goes_to_the_previous_snapshot_and_back(cli, build, tmp_path):
    root = tmp_path / "root"
    first, second, third = build(1), build(2), build(3)
    assert cli.one("rollback", root, "--to", "previous")["manifest_ref"] == second["manifest_ref"]
    assert cli.one("info", root)["run_id"] == second["run_id"]
    cli.one("rollback", root, "--to", "previous")
    assert cli.one("info", root)["run_id"] == first["run_id"]
    cli.fails("ConfigValidationError", "rollback", root, "--to", "previous", names=["previous"])
    assert cli.one("rollback", root, "--to", third["run_id"])["manifest_ref"] == third["manifest_ref"]
    assert cli.one("info", root)["run_id"] == third["run_id"]
    cli.one("rollback", root, "--to", second["manifest_ref"])
    assert cli.one("info", root)["run_id"] == second["run_id"]
    assert [line["is_live"] for line in cli.lines("history", root)] == [False, True, False]


def test_rollback_to_what_is_not_whole_is_refused(cli, build, tmp_path):
    root = tmp_path / "root"
    first, second = build(1), build(2)
    shutil.rmtree(next((root / "shards" / f"run_id={first['run_id']}").iterdir()))
    cli.fails("DbAdapterError", "rollback", root, "--to", "previous", names=["shard"])
    shutil.rmtree(root / "vector_meta" / f"run_id={first['run_id']}")
    cli.fails("ReaderStateError", "rollback", root, "--to", first["run_id"], names=["centroids"])
    cli.fails("ConfigValidationError", "rollback", root, "--to", "nobody", names=["nobody"])
    assert cli.one("info", root)["run_id"] == second["run_id"]


def test_builds_at_the_same_time_are_all_published(cli, build, tmp_path):
    root = tmp_path / "root"
    build(0)
    paths = []
    for seed in range(1, 7):
        paths.append(tmp_path / f"x{seed}.npy")
        np.save(paths[-1], np.random.default_rng(seed).normal(size=(500, 8)).astype("f4"))
    running = [
        subprocess.Popen(
            [cli.path, "build", root, "--vectors", path, "--num-dbs", "3", "--run-id", f"run{i}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for i, path in enumerate(paths)
    ]
    for process in running:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    history = cli.lines("history", root)
    assert len(history) == 7 and sum(line["is_live"] for line in history) == 1
    for line in history:
        cli.one("rollback", root, "--to", line["ref"])
        assert all(found["status"] == "ok" for found in cli.lines("verify", root))


def test_of_builds_with_one_run_id_one_is_published(cli, tmp_path):
    root = tmp_path / "root"
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(500, 8)).astype("f4"))
    command = [cli.path, "build", root, "--vectors", tmp_path / "x.npy", "--num-dbs", "2", "--run-id", "same"]
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(5)]
    assert sorted(process.wait(timeout=60) for process in running) == [0, 1, 1, 1, 1]
    assert all(found["status"] == "ok" for found in cli.lines("verify", root))
