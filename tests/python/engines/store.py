"""A store on a loopback port, in a process of its own."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "s3"))

from servers import Server, foreign_environment, free_port, wait_for_port  # noqa: E402

ACCESS_KEY = "testkey"
SECRET_KEY = "test/secret+key"


def start_moto():
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=foreign_environment())
    wait_for_port(port, process)
    return Server(port, process)


def connection(port):
    return {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1", "addressing_style": "path"}


class DriverOnlyCredentials:
    """Credentials that only the process with a certain id has, as where workers were given none."""

    def __init__(self, process):
        self.process = process

    def resolve(self):
        import os

        from shardyfusion.credentials import S3Credentials
        from shardyfusion.errors import ConfigValidationError

        if os.getpid() != self.process:
            raise ConfigValidationError("credentials: expected them on the worker, found none")
        return S3Credentials(ACCESS_KEY, SECRET_KEY, None)


class RunningOutCredentials:
    """Credentials that workers get so many times, together; the process with a certain id always."""

    def __init__(self, process, folder, times):
        self.process = process
        self.folder = folder
        self.times = times

    def resolve(self):
        import os

        from faulty_engine import Calls
        from shardyfusion.credentials import S3Credentials
        from shardyfusion.errors import ConfigValidationError

        if os.getpid() != self.process and Calls(self.folder).next() >= self.times:
            raise ConfigValidationError("credentials: expected them on the worker, found none")
        return S3Credentials(ACCESS_KEY, SECRET_KEY, None)
