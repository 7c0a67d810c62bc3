"""Servers, a proxy that breaks things, and the tool that drives the library."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import botocore.config
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fault_proxy import FaultProxy  # noqa: E402

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
ACCESS_KEY = "testkey"
SECRET_KEY = "test/secret+key"
REGION = "us-east-1"


def build_folder():
    return Path(os.environ.get("SF_BUILD_DIR", Path(__file__).resolve().parents[3] / "build"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_port(port, process):
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended: {process.args}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}")


def clean_environment(home):
    """The environment of a machine that knows nothing of any store."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "S3_", "SLATEDB_")) and "proxy" not in k.lower()}
    kept.update(HOME=str(home), AWS_EC2_METADATA_DISABLED="true")
    return kept


@pytest.fixture(scope="session")
def versitygw_program(tmp_path_factory):
    """The server's program: $VERSITYGW, or what is on the path, or installed by Go."""
    found = os.environ.get("VERSITYGW") or shutil.which("versitygw")
    if found:
        return found
    folder = tmp_path_factory.mktemp("go")
    subprocess.run(["go", "install", VERSITYGW], check=True, env={**os.environ, "GOBIN": str(folder)})
    return str(folder / "versitygw")


class Server:
    """A store on a loopback port."""

    def __init__(self, port, process, root=None, scheme="http"):
        self.port = port
        self.process = process
        self.root = root
        self.url = f"{scheme}://127.0.0.1:{port}"

    def client(self, **options):
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            config=botocore.config.Config(s3={"addressing_style": "path"}),
            **options,
        )

    def stop(self):
        self.process.kill()
        self.process.wait()


def start_versitygw(program, folder, *arguments, port=None, scheme="http"):
    port = port or free_port()
    (folder / "root" / "bucket").mkdir(parents=True, exist_ok=True)
    (folder / "metadata").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [program, "--port", f"127.0.0.1:{port}", "--keep-alive", "--quiet", "--region", REGION, *arguments,
         "posix", "--sidecar", str(folder / "metadata"), str(folder / "root")],
        env={**os.environ, "ROOT_ACCESS_KEY_ID": ACCESS_KEY, "ROOT_SECRET_ACCESS_KEY": SECRET_KEY},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_port(port, process)
    return Server(port, process, folder / "root", scheme)


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


class Tool:
    """One process with one storage: commands in, answers out."""

    def __init__(self, root, environment, options):
        arguments = [str(build_folder() / "tests" / "s3_tool")]
        for name, value in options.items():
            arguments += ["-o", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
        self.process = subprocess.Popen(
            [*arguments, root], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.output = ""

    def send(self, *words):
        self.process.stdin.write("\t".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()

    def receive(self):
        line = self.process.stdout.readline()
        self.output += line
        if not line:
            raise RuntimeError(f"the tool ended: {self.process.wait()} {self.process.stderr.read()}")
        return json.loads(line)

    def __call__(self, *words):
        self.send(*words)
        return self.receive()

    def close(self):
        if self.process.stdin:
            self.process.stdin.close()
        status = self.process.wait(timeout=60)
        errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.stdin = None
        return status, errors


@pytest.fixture
def tool(tmp_path):
    """Starts tools; whatever they did, they must end well and silently (a sanitizer speaks on the error stream)."""
    home = tmp_path / "home"
    home.mkdir()
    started = []

    def start(server, root="s3://bucket/prefix", environment=None, keys=True, **options):
        variables = clean_environment(home)
        if keys:
            variables.update(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
        if server is not None:
            variables["AWS_ENDPOINT_URL_S3"] = server if isinstance(server, str) else server.url
        variables.update(environment or {})
        started.append(Tool(root, {k: str(v) for k, v in variables.items() if v is not None}, options))
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
