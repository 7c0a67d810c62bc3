"""Fixtures: stores of two makers, a proxy that breaks things, and the tool that drives the library."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fault_proxy import FaultProxy  # noqa: E402
from servers import (  # noqa: E402
    ACCESS_KEY,
    SECRET_KEY,
    Server,
    Tool,
    clean_environment,
    free_port,
    install_versitygw,
    start_versitygw,
    wait_for_port,
)


@pytest.fixture(scope="session")
def versitygw_program():
    """The server's program: $VERSITYGW, or what is on the path, or installed by Go, once for all workers."""
    return os.environ.get("VERSITYGW") or shutil.which("versitygw") or install_versitygw()


@pytest.fixture(scope="session")
def versitygw(versitygw_program, tmp_path_factory):
    server = start_versitygw(versitygw_program, tmp_path_factory.mktemp("versitygw"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def moto():
    """A second implementation, to hold the first one's view of S3 against."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_port(port, process)
    server = Server(port, process)
    server.client().create_bucket(Bucket="bucket")
    yield server
    server.stop()


@pytest.fixture(params=["versitygw", "moto"])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def proxy(versitygw):
    with FaultProxy(versitygw.port) as started:
        yield started


@pytest.fixture
def tool(tmp_path):
    """Starts tools; whatever they did, they must end well and silently (a sanitizer speaks on the error stream)."""
    home = tmp_path / "home"
    home.mkdir()
    started = []

    def start(server, root="s3://bucket/prefix", environment=None, keys=True, program="s3_tool", arguments=(), **options):
        variables = clean_environment(home)
        if keys:
            variables.update(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
        if server is not None:
            variables["AWS_ENDPOINT_URL_S3"] = server if isinstance(server, str) else server.url
        variables.update(environment or {})
        variables = {k: str(v) for k, v in variables.items() if v is not None}
        started.append(Tool(root, variables, options, program, arguments))
        return started[-1]

    start.home = home
    yield start
    for used in started:
        if used.process.stdin is None:
            continue
        if used.process.poll() is not None and used.process.returncode < 0:
            continue
        status, errors = used.close()
        assert status == 0 and errors == ""
        assert SECRET_KEY not in used.output


@pytest.fixture
def put(versitygw, request):
    """Puts an object into the first store under a prefix of the test's own; gives the root to open."""
    client = versitygw.client()
    prefix = request.node.name.translate({ord(c): "-" for c in "[]:/ "})

    def put_object(key, body, **options):
        return client.put_object(Bucket="bucket", Key=f"{prefix}/{key}", Body=body, **options)

    put_object.root = f"s3://bucket/{prefix}"
    put_object.prefix = prefix
    return put_object
