"""Commands that are interrupted while a store, or who hands out credentials, keeps them waiting: they end soon, as
interrupted, and a build leaves nothing."""

import json
import os
import signal
import socket
import subprocess
import time

import numpy as np
import pytest
from fault_proxy import Fault
from identity_server import IdentityServer
from servers import ACCESS_KEY, SECRET_KEY
from test_build_s3 import cli_path, keys_below, store_environment
from test_snapshots import put_snapshot

SOON = 20  # seconds: less than anything here would wait by itself, and enough for a sanitizer on a busy machine


def wait_until(condition, process):
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline, process.poll()
        time.sleep(0.01)


def interrupt(process, number=signal.SIGINT):
    """Sends the signal; the exit status and the errors."""
    process.send_signal(number)
    started = time.monotonic()
    try:
        errors = process.communicate(timeout=60)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert time.monotonic() - started < SOON
    return process.returncode, errors


def start(environment, *arguments):
    command = [cli_path(), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(3).normal(size=(6000, 1024)).astype("f4"))
    return path


@pytest.fixture
def environment(proxy, tmp_path):
    (tmp_path / "tmp").mkdir()
    return {**store_environment(proxy, tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}


def build_options(vectors, tmp_path):
    # One shard of more than a part, so that it is uploaded in parts: one after the other, for a part that the store has in hand
    # when an upload is given up may outlive it.
    return ["--s3-option", "max_connections=1", "--vectors", vectors, "--num-dbs", 1, "--iterations", 1, "--backend", "sqlite-vec", "--staging-dir", tmp_path / "new" / "staging"]


REQUESTS = {
    "listing": ("GET", "list-type"),
    "run record": ("PUT", "/runs/"),
    "begin of an upload": ("POST", "uploads="),
    "part of an upload": ("PUT", "partNumber=2"),
    "end of an upload": ("POST", "uploadId="),
    "artifact": ("PUT", "/vector_meta/"),
    "manifest": ("PUT", "/manifests/"),
}


@pytest.mark.parametrize("fault", [{"delay": 120}, {"status": 503, "code": "SlowDown", "headers": {"Retry-After": "25"}}], ids=["hangs", "is told to wait"])
@pytest.mark.parametrize("request_kind", REQUESTS)
def test_an_interrupted_build_ends_soon_and_leaves_nothing(proxy, versitygw, vectors, environment, tmp_path, request_kind, fault):
    method, part = REQUESTS[request_kind]
    prefix = f"interrupted-{request_kind}-{len(fault)}".replace(" ", "-")
    proxy.add(times=100, method=method, contains=part, **fault)
    process = start(environment, "build", f"s3://bucket/{prefix}", *build_options(vectors, tmp_path))
    wait_until(lambda: any(seen.method == method and part in seen.path for seen in proxy.seen), process)
    number = signal.SIGTERM if fault.get("delay") else signal.SIGINT
    status, errors = interrupt(process, number)
    assert status == 128 + number and "interrupted" in errors and len(errors.splitlines()) == 1, errors
    assert keys_below(versitygw, prefix) == []
    uploads = versitygw.client().list_multipart_uploads(Bucket="bucket").get("Uploads", [])
    assert [upload["Key"] for upload in uploads if upload["Key"].startswith(prefix)] == []
    assert not (tmp_path / "new").exists() and os.listdir(tmp_path / "tmp") == []


def test_a_store_that_answers_nothing_any_more_does_not_hold_an_interrupted_build(proxy, vectors, environment, tmp_path):
    proxy.choose = lambda seen: Fault(delay=120) if any("/runs/" in before.path for before in proxy.seen) else Fault()
    process = start(environment, "build", "s3://bucket/silent", *build_options(vectors, tmp_path))
    wait_until(lambda: any("/runs/" in seen.path for seen in proxy.seen), process)
    status, errors = interrupt(process)
    assert status == 130 and "left behind" in errors and "interrupted" in errors, errors
    assert not (tmp_path / "new").exists()


READING = {
    "search": ["--query", json.dumps([0.0] * 16), "--num-probes", 64],
    "info": [],
    "history": [],
    "verify": [],
    "rollback": ["--to", "previous"],
    "cleanup": ["--yes", "--older-than", 0],
}


@pytest.mark.parametrize("command", READING)
def test_other_commands_end_as_soon(proxy, versitygw, environment, tmp_path, command):
    root = put_snapshot(versitygw, "sqlite-l2-lsh")
    proxy.add(times=100, delay=120)
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    process = start(environment, command, root, *READING[command])
    wait_until(lambda: proxy.seen, process)
    assert interrupt(process)[0] == 130


def silent_listener(backlog):
    """A port that takes connections and never says a word; with a backlog of 0 that is full, it takes none."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    return listener


def test_connecting_is_interrupted(environment, vectors, tmp_path):
    with silent_listener(0) as listener, socket.socket() as filler:
        filler.connect(listener.getsockname())
        environment["AWS_ENDPOINT_URL_S3"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = start(environment, "build", "s3://bucket/x", *build_options(vectors, tmp_path), "--s3-option", "connect_timeout=60")
        wait_until(lambda: has_connection(process, listener), process)
        assert interrupt(process)[0] == 130


def has_connection(process, listener):
    """A socket of the process that is on its way to the listener, or has arrived."""
    port = f":{listener.getsockname()[1]:04X}"
    lines = open(f"/proc/{process.pid}/net/tcp").read().splitlines()[1:]
    return sum(line.split()[2].endswith(port) for line in lines) > 1


def test_a_tls_handshake_is_interrupted(environment, vectors, tmp_path):
    with silent_listener(8) as listener:
        environment["AWS_ENDPOINT_URL_S3"] = f"https://127.0.0.1:{listener.getsockname()[1]}"
        process = start(environment, "build", "s3://bucket/x", *build_options(vectors, tmp_path), "--s3-option", "connect_timeout=60")
        connection = listener.accept()[0]
        connection.recv(1)  # of the client's first message
        assert interrupt(process)[0] == 130
        connection.close()


def test_a_credential_process_is_interrupted(environment, vectors, tmp_path):
    marker = tmp_path / "started"
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = touch {marker}; exec sleep 120\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del environment[name]
    environment["AWS_CONFIG_FILE"] = str(config)
    process = start(environment, "build", "s3://bucket/x", *build_options(vectors, tmp_path))
    wait_until(marker.exists, process)
    assert interrupt(process)[0] == 130


@pytest.mark.parametrize("service", ["instance", "container"])
def test_metadata_services_are_interrupted(environment, vectors, tmp_path, service):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        environment.pop(name, None)
    with IdentityServer(ACCESS_KEY, SECRET_KEY) as server:
        server.delay = 120
        environment["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = server.url
        if service == "container":
            environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{server.url}/container"
        process = start(environment, "build", "s3://bucket/x", *build_options(vectors, tmp_path))
        wait_until(lambda: server.seen, process)
        assert interrupt(process)[0] == 130
