"""Builds to a store: published there, and killed at random points. SHARDYFUSION_KILLS in the environment says how many."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from servers import ACCESS_KEY, SECRET_KEY, build_folder, clean_environment

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from killed_builds import KilledBuilds, check_names  # noqa: E402


def cli_path():
    return str(os.environ.get("SHARDYFUSION_CLI", build_folder() / "shardyfusion"))


def store_environment(store, home):
    home.mkdir()
    environment = clean_environment(home)
    environment.update(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_ENDPOINT_URL_S3=store.url)
    return environment


def keys_below(store, prefix):
    pages = store.client().get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=f"{prefix}/")
    return [entry["Key"][len(prefix) + 1 :] for page in pages for entry in page.get("Contents", [])]


def check_unfinished_uploads_are_cleaned(store, run, root, live_run):
    """Uploads in parts that killed builds left go with their runs; those of others stay."""
    client = store.client()
    prefix = "built=here/with: signs/shards"
    begun = {}

    def begin(key):
        begun[key] = client.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
        client.upload_part(Bucket="bucket", Key=key, PartNumber=1, UploadId=begun[key], Body=b"part")
        return key

    def unfinished():
        """Of those that were begun here."""
        uploads = client.list_multipart_uploads(Bucket="bucket").get("Uploads", [])
        return sorted(upload["Key"] for upload in uploads if upload["UploadId"] in begun.values())

    dead = [begin(f"{prefix}/run_id=killed/db=0000{i}/shard+ &%41.db") for i in range(3)]
    others = sorted([begin(f"{prefix}/run_id={live_run}/db=00000/x"), begin("elsewhere/run_id=killed/db=00000/x")])
    try:
        client.put_object(Bucket="bucket", Key=f"{prefix}/run_id=killed/db=00007/x", Body=b"x")
        assert unfinished() == sorted(dead + others)
        seen = run("cleanup", root, "--older-than", 0)
        assert [(line["run_id"], line["num_objects"]) for line in seen] == [("killed", 4)]
        assert unfinished() == sorted(dead + others)
        run("cleanup", root, "--yes", "--older-than", 0)
        assert unfinished() == others
    finally:  # other tests expect to find none
        for key in unfinished():
            client.abort_multipart_upload(Bucket="bucket", Key=key, UploadId=begun[key])


def test_a_build_is_published_and_found(store, tmp_path):
    environment = store_environment(store, tmp_path / "home")
    root = "s3://bucket/built=here/with: signs"
    vectors = np.random.default_rng(1).normal(size=(2000, 12)).astype("f4")
    np.save(tmp_path / "x.npy", vectors)
    staging = tmp_path / "staging"

    def run(*arguments):
        command = [cli_path(), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    built = []
    for strategy in ("cluster", "lsh"):
        options = ["--strategy", strategy, "--num-dbs", 3, "--metric", "l2", "--staging-dir", staging]
        built += run("build", root, "--vectors", tmp_path / "x.npy", *options)
        assert not staging.exists()  # it was not there before
        assert all(line["status"] == "ok" for line in run("verify", root, "--cache-dir", tmp_path / "cache"))
        query = ["--query", json.dumps(vectors[77].tolist()), "--num-probes", 3, "--top-k", 3]
        found = run("search", root, "--cache-dir", tmp_path / "cache", *query)[0]["results"]
        nearest = np.linalg.norm(vectors.astype("f8") - vectors[77].astype("f8"), axis=1)
        assert [int(result["id"]) for result in found] == list(np.argsort(nearest)[:3])
    assert built[0]["manifest_ref"].startswith(f"{root}/manifests/")
    assert run("rollback", root, "--to", "previous") == [{"manifest_ref": built[0]["manifest_ref"]}]
    store.client().put_object(Bucket="bucket", Key="built=here/with: signs/shards/run_id=dead/db=00000/x", Body=b"x")
    assert [line["run_id"] for line in run("cleanup", root, "--yes", "--older-than", 0)] == ["dead"]
    check_unfinished_uploads_are_cleaned(store, run, root, built[0]["run_id"])
    check_names(keys_below(store, "built=here/with: signs"), {line["run_id"] for line in built})


@pytest.mark.parametrize("rows", [500, 40000], ids=["one request", "in parts"])
def test_a_sidecar_is_bound_to_the_stored_database(store, tmp_path, rows):
    environment = store_environment(store, tmp_path / "home")
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(rows, 128)).astype("f4"))
    prefix = f"sidecars-{rows}"
    command = [cli_path(), "build", f"s3://bucket/{prefix}", "--vectors", str(tmp_path / "x.npy"), "--num-dbs", "1"]
    command += ["--backend", "sqlite", "--sidecar", "--staging-dir", str(tmp_path / "staging")]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    (key,) = [key for key in keys_below(store, prefix) if key.endswith("/shard.db")]
    database = store.client().head_object(Bucket="bucket", Key=f"{prefix}/{key}")
    assert ("-" in database["ETag"]) == (rows == 40000)
    sidecar = store.client().get_object(Bucket="bucket", Key=f"{prefix}/{key[:-3]}.sidecar")["Body"].read()
    assert sidecar[:5] == b"SQPC\x08"
    assert sidecar[18 : 18 + sidecar[17]].decode() == database["ETag"]
    verified = subprocess.run(
        [cli_path(), "verify", f"s3://bucket/{prefix}", "--cache-dir", str(tmp_path / "cache")], env=environment, capture_output=True
    )
    assert verified.returncode == 0, verified.stderr


def test_cleanup_goes_on_where_it_may_not_look_for_uploads(proxy, versitygw, tmp_path):
    environment = store_environment(proxy, tmp_path / "home")
    client = versitygw.client()
    client.put_object(Bucket="bucket", Key="no-look/shards/run_id=dead/db=00000/x", Body=b"x")
    proxy.add(method="GET", contains="uploads", status=403, code="AccessDenied", times=1)
    command = [cli_path(), "cleanup", "s3://bucket/no-look", "--yes", "--older-than", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and json.loads(done.stdout)["run_id"] == "dead"
    assert "run_id=dead/: unfinished uploads are left as they are" in done.stderr and "AccessDenied" in done.stderr
    assert keys_below(versitygw, "no-look") == []


def test_a_store_that_refuses_is_named_and_nothing_stays(versitygw, tmp_path):
    environment = store_environment(versitygw, tmp_path / "home")
    np.save(tmp_path / "x.npy", np.zeros((10, 4), "f4"))
    command = [cli_path(), "build", "s3://no-such-bucket/root", "--vectors", str(tmp_path / "x.npy")]
    command += ["--strategy", "lsh", "--num-dbs", "2", "--staging-dir", str(tmp_path / "staging")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == "" and "no-such-bucket" in done.stderr
    assert not (tmp_path / "staging").exists() or os.listdir(tmp_path / "staging") == []


@pytest.mark.killed
def test_killed_builds_leave_the_live_snapshot_alone(versitygw, tmp_path):
    environment = store_environment(versitygw, tmp_path / "home")
    seed = int(os.environ.get("SHARDYFUSION_SEED", "1"))
    builds = KilledBuilds(cli_path(), "s3://bucket/killed", tmp_path, environment)
    builds.all_killed(int(os.environ.get("SHARDYFUSION_KILLS", "8")), seed)
    history = builds.clean_up()
    check_names(keys_below(versitygw, "killed"), history)
