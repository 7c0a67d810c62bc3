"""The golden snapshots, put into a store, against the command."""

import importlib.util
import json
import os
import pathlib
import subprocess

import pytest
from servers import ACCESS_KEY, SECRET_KEY, build_folder, clean_environment, start_versitygw

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "golden"
NAMES = sorted(folder.parent.name for folder in GOLDEN.glob("*/expected.json"))
PREFIX = "some=folder/with: signs+and %"


def load_check():
    specification = importlib.util.spec_from_file_location("check", GOLDEN / "check.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def cli_path():
    return str(os.environ.get("SHARDYFUSION_CLI", build_folder() / "shardyfusion"))


def put_snapshot(server, name):
    client = server.client()
    top = GOLDEN / name / "snapshot"
    for path in top.rglob("*"):
        if path.is_file():
            client.put_object(Bucket="bucket", Key=f"{PREFIX}/{name}/{path.relative_to(top)}", Body=path.read_bytes())
    return f"s3://bucket/{PREFIX}/{name}"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    for name in [n for n in os.environ if n.startswith(("AWS_", "S3_")) or "proxy" in n.lower()]:
        monkeypatch.delenv(name)
    for name, value in clean_environment(home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    return monkeypatch


def check_answers(root, name, cache):
    check = load_check()
    folder = GOLDEN / name
    for case in json.loads((folder / "expected.json").read_text())["cases"]:
        answer = check.via_cli(cli_path(), root, cache, folder / "queries.npy", case)
        assert check.compare(name, case, answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_snapshot_is_answered_exactly_from_a_store(store, environment, tmp_path, name):
    environment.setenv("AWS_ENDPOINT_URL_S3", store.url)
    check_answers(put_snapshot(store, name), name, tmp_path / "cache")


def test_a_golden_snapshot_is_answered_exactly_with_the_bucket_in_the_host(versitygw_program, environment, tmp_path):
    server = start_versitygw(versitygw_program, tmp_path, "--virtual-domain", "localhost")
    try:
        root = put_snapshot(server, NAMES[0])
        (tmp_path / "home" / ".aws").mkdir()
        (tmp_path / "home" / ".aws" / "config").write_text("[default]\ns3 =\n  addressing_style = virtual\n")
        environment.setenv("AWS_ENDPOINT_URL_S3", f"http://localhost:{server.port}")
        check_answers(root, NAMES[0], tmp_path / "cache")
    finally:
        server.stop()


def run(*arguments):
    return subprocess.run([cli_path(), *map(str, arguments)], capture_output=True, text=True, timeout=60)


def test_opening_takes_three_round_trips_at_most(versitygw, proxy, environment, tmp_path):
    root = put_snapshot(versitygw, "sqlite-cosine-cluster")
    environment.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
    assert run("info", root, "--cache-dir", tmp_path / "cache").returncode == 0
    assert [seen.method for seen in proxy.seen] == ["GET"] * 3


def test_a_second_process_searches_from_the_cache(versitygw, proxy, environment, tmp_path):
    name = "sqlite-l2-lsh"
    root = put_snapshot(versitygw, name)
    environment.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
    check_answers(root, name, tmp_path / "cache")
    before = len(proxy.seen)
    check_answers(root, name, tmp_path / "cache")
    assert not [seen.path for seen in proxy.seen[before:] if seen.method == "GET" and "shard.db" in seen.path]


def test_a_snapshot_verifies_from_the_store_and_not_from_the_cache(versitygw, environment, tmp_path):
    name = "sqlite-l2-lsh"
    root = put_snapshot(versitygw, name)
    environment.setenv("AWS_ENDPOINT_URL_S3", versitygw.url)
    check_answers(root, name, tmp_path / "cache")
    done = run("verify", root, "--cache-dir", tmp_path / "cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [p.name for p in (tmp_path / "cache").iterdir() if "verify" in p.name] == []
    client = versitygw.client()
    key = next(o["Key"] for o in client.list_objects_v2(Bucket="bucket", Prefix=f"{PREFIX}/{name}")["Contents"] if o["Key"].endswith("shard.db"))
    body = client.get_object(Bucket="bucket", Key=key)["Body"].read()
    client.put_object(Bucket="bucket", Key=key, Body=body[: len(body) // 2])
    done = run("verify", root, "--cache-dir", tmp_path / "cache")
    assert done.returncode == 1 and "shard.db" in done.stdout + done.stderr


def test_history_comes_from_a_listing(versitygw, environment):
    root = put_snapshot(versitygw, NAMES[0])
    environment.setenv("AWS_ENDPOINT_URL_S3", versitygw.url)
    done = run("history", root)
    assert done.returncode == 0 and len(done.stdout.splitlines()) >= 1


def test_a_missing_snapshot_and_a_store_that_fails_are_told_apart(versitygw, proxy, environment, tmp_path):
    environment.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
    done = run("info", "s3://bucket/nothing/here", "--cache-dir", tmp_path)
    assert done.returncode == 1 and "ReaderStateError" in done.stderr
    done = run("info", "s3://nobucket/nothing/here", "--cache-dir", tmp_path)
    assert done.returncode == 1 and "ShardyfusionError" in done.stderr and "NoSuchBucket" in done.stderr
    proxy.add(times=100, status=503, code="SlowDown")
    done = run("info", "s3://bucket/nothing/here", "--cache-dir", tmp_path)
    assert done.returncode == 1 and "S3TransientError" in done.stderr


def test_the_command_takes_options_and_a_profile(versitygw, environment, tmp_path):
    root = put_snapshot(versitygw, NAMES[0])
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)
    (tmp_path / "home" / ".aws").mkdir()
    (tmp_path / "home" / ".aws" / "credentials").write_text(f"[work]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n")
    arguments = ["info", root, "--cache-dir", tmp_path / "cache", "--s3-option", f"endpoint_url={versitygw.url}", "--s3-option", "addressing_style=path"]
    assert run(*arguments, "--profile", "work").returncode == 0
    assert "no S3 credentials" in run(*arguments).stderr
    for mistake in ("verify=1", "endpoint_url", "max_attempts=0", "read_timeout=x", "secret_access_key=x", "addressing_style=x"):
        assert run(*arguments, "--s3-option", mistake).returncode == 2


def test_a_download_is_shown_on_a_terminal(versitygw, proxy, environment, tmp_path):
    name = "sqlite-cosine-explicit"
    root = put_snapshot(versitygw, name)
    client = versitygw.client()
    shard = next(o["Key"] for o in client.list_objects_v2(Bucket="bucket", Prefix=f"{PREFIX}/{name}")["Contents"] if o["Key"].endswith("db=00000/attempt=00/shard.db"))
    body = client.get_object(Bucket="bucket", Key=shard)["Body"].read()
    # Trailing bytes that SQLite never looks at make it large enough to come in parts.
    client.put_object(Bucket="bucket", Key=shard, Body=body + bytes(60 << 20))
    proxy.add(times=3, method="GET", contains="db%3D00000", ranged=True, delay=0.3)
    environment.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
    main, other = os.openpty()
    done = subprocess.Popen([cli_path(), "verify", root, "--cache-dir", str(tmp_path / "cache")], stdout=subprocess.DEVNULL, stderr=other)
    os.close(other)
    shown = b""
    try:
        while chunk := os.read(main, 4096):
            shown += chunk
    except OSError:
        pass
    done.wait(60)
    os.close(main)
    assert b" MiB, " in shown and b" MiB/s" in shown
