"""tools/install-deps, on a machine where nothing is installed: what it asks for, and as whom."""

import os
import shutil
import subprocess

import pytest
from conftest import ROOT


class Machine:
    """Only these programs are in PATH; each writes down how it was called."""

    def __init__(self, folder, user_id, sudo_status=None):
        self.folder = folder
        self.calls_file = folder / "calls"
        self.program("apt-get")
        self.program("id", f"echo {user_id}", is_logged=False)
        if sudo_status is not None:
            self.program("sudo", f'if [ "$1" = -n ]; then exit {sudo_status}; fi; "$@"', is_logged=False)
        for name in ("env", "ls"):
            (folder / name).symlink_to(shutil.which(name))

    def program(self, name, body="", is_logged=True):
        log = f'echo "{name} $*" >> {self.calls_file}\n' if is_logged else ""
        (self.folder / name).write_text(f"#!/bin/sh\n{log}{body}\n")
        (self.folder / name).chmod(0o755)

    def run(self, *arguments):
        command = [shutil.which("sh"), ROOT / "tools" / "install-deps", *arguments]
        options = {"env": os.environ | {"PATH": str(self.folder)}, "stdin": subprocess.DEVNULL}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)

    def calls(self):
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


def missing(folder, level):
    folder.mkdir()
    first_line = Machine(folder, 1000).run(level).stderr.splitlines()[0]
    return set(first_line.removeprefix("missing packages: ").split())


def test_building_needs_no_package_of_the_tests(tmp_path):
    build, test = missing(tmp_path / "build", "build"), missing(tmp_path / "test", "test")
    assert {"gcc", "cmake", "libsqlite3-dev", "libcurl4-openssl-dev"} <= build < test
    of_tests = {"g++", "libcmocka-dev", "libuv1-dev", "default-jre-headless"}
    assert test - build == of_tests | {"python3", "python3-dev", "python3-venv"}


@pytest.mark.parametrize("sudo_status", [None, 1], ids=["no sudo", "a sudo that asks for a password"])
def test_who_is_not_root_is_told_the_line_for_root(tmp_path, sudo_status):
    machine = Machine(tmp_path, 1000, sudo_status)
    done = machine.run("build")
    assert done.returncode == 1 and machine.calls() == []
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("As root, run: ")]
    assert line.startswith("As root, run: apt-get update && apt-get install -y --no-install-recommends gcc ")
    # Root can paste it.
    root = subprocess.run([shutil.which("sh"), "-c", line.removeprefix("As root, run: ")], env={"PATH": str(tmp_path)})
    assert root.returncode == 0 and [call.split()[1] for call in machine.calls()] == ["update", "install"]


@pytest.mark.parametrize("user_id, sudo_status", [(0, None), (1000, 0)], ids=["root", "a sudo without a password"])
def test_who_can_installs_what_is_missing(tmp_path, user_id, sudo_status):
    machine = Machine(tmp_path, user_id, sudo_status)
    done = machine.run("build")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("installing: gcc " if user_id == 0 else "installing with sudo: gcc ")
    install = machine.calls()[-1]
    assert install.startswith("apt-get install ") and " cmake " in install and "--no-install-recommends" in install


def test_checking_changes_nothing(tmp_path):
    machine = Machine(tmp_path, 0)
    done = machine.run("--check", "build")
    assert done.returncode == 1 and machine.calls() == []
    assert done.stderr.startswith("missing packages: gcc ")
