"""The golden snapshots, written by the production library, against the command."""

import subprocess
import sys

import pytest
from conftest import GOLDEN

NAMES = sorted(folder.parent.name for folder in GOLDEN.glob("*/expected.json"))


@pytest.mark.concurrent
@pytest.mark.parametrize("name", NAMES)
def test_golden_snapshot_is_answered_exactly(cli_path, name):
    done = subprocess.run(
        [sys.executable, GOLDEN / "check.py", "--cli", cli_path, name], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" passed, 0 failed")


def test_there_are_golden_snapshots():
    assert len(NAMES) == 11


@pytest.mark.parametrize("name", NAMES)
def test_golden_snapshot_verifies(cli, name):
    findings = cli.lines("verify", GOLDEN / name / "snapshot", timeout=300)
    assert {finding["status"] for finding in findings} == {"ok"}
