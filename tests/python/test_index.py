"""index: lists for a snapshot, whoever wrote it; verify and cleanup know them; what is live stays live to the end."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from build_roots import all_files
from conftest import GOLDEN

DIM, ROWS = 16, 3000


@pytest.fixture
def root(cli, tmp_path):
    def build(backend="lance", name="root", **options):
        centres = np.random.default_rng(5).normal(size=(60, DIM))
        rng = np.random.default_rng(6)
        rows = centres[rng.integers(0, 60, ROWS)] + 0.5 * rng.normal(size=(ROWS, DIM))
        np.save(tmp_path / "x.npy", rows.astype("f4"))
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        cli.one(
            "build", tmp_path / name, "--vectors", tmp_path / "x.npy", "--backend", backend, "--num-dbs", "3", *words
        )
        return tmp_path / name

    return build


def lists_of(root):
    return sorted((root / "lists").rglob("*.lists"))


def answers(cli, root, tmp_path, *options):
    lines = cli.lines("search", root, "--query-file", tmp_path / "x.npy", "--row", "7", *options)
    return [line["results"] for line in lines]


def verify(cli, root):
    """What each object is found to be."""
    done = cli.run("verify", root)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == any(line["status"] != "ok" for line in lines), done.stderr
    return lines


def damaged(cli, root):
    """Objects that are not what they should be, and why."""
    return [
        (line["object"].rsplit("/", 1)[-1], line["message"]) for line in verify(cli, root) if line["status"] != "ok"
    ]


@pytest.mark.parametrize("backend", ["lance", "sqlite"])
def test_the_same_snapshot_has_lists_afterwards(cli, root, tmp_path, backend):
    snapshot = root(backend)
    before, present = cli.one("info", snapshot), answers(cli, snapshot, tmp_path)
    result = cli.one("index", snapshot)
    after = cli.one("info", snapshot)
    assert result["manifest_ref"] == after["manifest_ref"] != before["manifest_ref"]
    assert (result["num_shards"], result["num_rows"]) == (3, ROWS)
    assert {key: before[key] for key in ("run_id", "num_dbs", "total_vectors")}.items() <= after.items()
    assert sum(path.stat().st_size for path in lists_of(snapshot)) == result["num_bytes"]
    assert answers(cli, snapshot, tmp_path) == present
    assert [line["is_live"] for line in cli.lines("history", snapshot)] == [True, False]
    cli.one("rollback", snapshot, "--to", "previous")
    assert cli.one("info", snapshot)["manifest_ref"] == before["manifest_ref"]


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir() if (path / "snapshot").is_dir()))
def test_snapshots_of_other_writers_get_lists(cli, tmp_path, name):
    snapshot = tmp_path / "root"
    shutil.copytree(GOLDEN / name / "snapshot", snapshot)
    result = cli.one("index", snapshot)
    assert result["num_rows"] > 0
    statuses = {line["object"]: line["status"] for line in verify(cli, snapshot)}
    assert set(statuses.values()) == {"ok"}
    assert sum(name.endswith(".lists") for name in statuses) == len(lists_of(snapshot)) == result["num_shards"]


def test_lists_are_the_same_for_a_seed_whatever_the_number_of_threads(cli, root):
    snapshot = root()
    seen = []
    for options in (("--threads", "1"), ("--threads", "3"), ("--seed", "9")):
        before = set(lists_of(snapshot))
        cli.one("index", snapshot, "--force", *options)
        seen.append([path.read_bytes() for path in lists_of(snapshot) if path not in before])
    assert seen[0] == seen[1] != seen[2]


def test_a_snapshot_with_lists_is_left_as_it_is_unless_it_is_forced(cli, root):
    snapshot = root()
    first = cli.one("index", snapshot)
    files = all_files(snapshot)
    again = cli.one("index", snapshot)
    assert again["manifest_ref"] == first["manifest_ref"] and again["num_lists"] == 0
    assert all_files(snapshot) == files
    forced = cli.one("index", snapshot, "--force", "--lists", "5")
    assert forced["num_lists"] == 15 and forced["manifest_ref"] != first["manifest_ref"]


def test_verify_names_lists_that_are_damaged_or_missing(cli, root, tmp_path):
    snapshot = root("sqlite")
    cli.one("index", snapshot)
    first, second, _ = lists_of(snapshot)
    content = first.read_bytes()
    random.seed(3)
    for at in [0, 9, 70, *random.sample(range(len(content)), 6)]:
        first.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        assert [name for name, _ in damaged(cli, snapshot)] == [first.name]
    first.write_bytes(content)
    second.write_bytes(content)
    assert [name for name, _ in damaged(cli, snapshot)] == [second.name]
    second.unlink()
    ((name, message),) = damaged(cli, snapshot)
    assert name == second.name and "expected an object, found none" in message


def test_cleanup_keeps_lists_that_a_manifest_names_and_removes_others(cli, root):
    snapshot = root()
    cli.one("index", snapshot)
    files = all_files(snapshot)
    leftover = snapshot / "lists" / "run_id=killed" / "db=00000.lists"
    leftover.parent.mkdir()
    leftover.write_bytes(b"x")
    found = cli.lines("cleanup", snapshot, "--yes", "--older-than", "0")
    assert [line["run_id"] for line in found] == ["killed"]
    assert all_files(snapshot) == files


def test_a_root_without_a_snapshot_has_nothing_to_index(cli, tmp_path):
    (tmp_path / "root").mkdir()
    cli.fails("ReaderStateError", "index", tmp_path / "root", names=["_CURRENT"])
    assert list((tmp_path / "root").iterdir()) == []


def test_a_shard_that_is_missing_fails_and_leaves_nothing(cli, root):
    snapshot = root("sqlite")
    next((snapshot / "shards").rglob("db=00001/*/shard.db")).unlink()
    files = all_files(snapshot)
    cli.fails("DbAdapterError", "index", snapshot, names=["db=00001"])
    assert all_files(snapshot) == files


@pytest.mark.killed
def test_killed_at_any_point_the_live_snapshot_stays_live(cli, cli_path, root, tmp_path):
    """SHARDYFUSION_KILLS in the environment says how many are killed."""
    snapshot = root("sqlite")
    chance = random.Random(int(os.environ.get("SHARDYFUSION_SEED", "1")))
    files, live = all_files(snapshot), cli.one("info", snapshot)["manifest_ref"]
    command = [str(cli_path), "index", str(snapshot), "--force"]
    started = time.monotonic()
    subprocess.run([*command, "--cache-dir", str(tmp_path / "c")], check=True, capture_output=True)
    whole = time.monotonic() - started
    published = {cli.one("info", snapshot)["manifest_ref"]}
    for _ in range(int(os.environ.get("SHARDYFUSION_KILLS", "8"))):
        killed = subprocess.Popen(
            [*command, "--cache-dir", str(tmp_path / "c")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        time.sleep(chance.uniform(0, 1.2 * whole))
        killed.send_signal(signal.SIGKILL)
        output, _ = killed.communicate()
        found = cli.one("info", snapshot)["manifest_ref"]
        if found not in published:
            published.add(found)
        elif killed.returncode == 0:
            assert json.loads(output)["manifest_ref"] == found
        assert len(answers(cli, snapshot, tmp_path, "--recall", "0.9")[0]) == 10
    cli.lines("cleanup", snapshot, "--yes", "--older-than", "0")
    assert damaged(cli, snapshot) == []
    assert len({path.parent for path in lists_of(snapshot)}) == len(cli.lines("history", snapshot)) - 1
    cli.one("rollback", snapshot, "--to", live)
    assert set(files) <= set(all_files(snapshot))
