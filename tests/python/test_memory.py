"""The command while allocations fail: it says so, or gives the right answer; never that of an older snapshot."""

import itertools
import json
import os
import pathlib
import re
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("SF_BUILD_DIR") or pathlib.Path(os.environ["SHARDYFUSION_CLI"]).parent)
PRELOADED = BUILD / "tests" / "libfaults_preload.so"
STRIDE = int(os.environ.get("FAULTS_STRIDE", "151"))


def is_sanitized():
    return b"__asan_init" in pathlib.Path(os.environ["SHARDYFUSION_CLI"]).read_bytes()


pytestmark = [
    pytest.mark.skipif(not PRELOADED.exists(), reason="the library to preload is not built"),
    pytest.mark.skipif(is_sanitized(), reason="a sanitizer's own start can't do without memory; `sweep` runs with it"),
]


def write_rows(path, first_id):
    rows = [
        {"id": first_id + i, "vector": [first_id + i * i % 7, i, 1, 2], "payload": {"name": f"row {first_id + i}"}}
        for i in range(20)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def command(*arguments):
    return [os.environ["SHARDYFUSION_CLI"], *map(str, arguments)]


def build_command(root, rows, run_id):
    options = ["--num-dbs", 2, "--backend", "sqlite-vec", "--threads", 1, "--run-id", run_id]
    return command("build", root, "--jsonl", rows, *options)


@pytest.fixture
def root(tmp_path):
    """A snapshot, and an older one with other rows that is whole."""
    for name, first_id in (("older", 100), ("newer", 2000)):
        rows = write_rows(tmp_path / f"{name}.jsonl", first_id)
        subprocess.run(build_command(tmp_path / "root", rows, name), check=True, capture_output=True)
    return tmp_path / "root"


def run_with_fault(arguments, folder, point, mode):
    """The finished process, and whether the fault came to pass."""
    report = folder / "report"
    report.unlink(missing_ok=True)
    settings = {"FAULTS_POINT": str(point), "FAULTS_MODE": mode, "FAULTS_REPORT": str(report)}
    environment = os.environ | settings | {"LD_PRELOAD": str(PRELOADED)}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)
    has_failed = not report.exists() or int(report.read_text().split()[1]) > 0
    return done, has_failed


def sweep(arguments, folder, mode, prepare, check):
    """Runs the command with fault after fault, up to the last; `check` judges what one that succeeded printed."""
    for point in itertools.count(1, STRIDE):
        prepare()
        done, has_failed = run_with_fault(arguments, folder, point, mode)
        where = f"point {point}, {mode}: status {done.returncode}: {done.stderr}"
        if done.returncode == 0:
            check(done.stdout)
        else:
            assert has_failed, where
            assert done.returncode == 1 and "MemoryError" in done.stderr, where
            assert "Traceback" not in done.stderr, where
        if not has_failed:
            return point


def without_times(text):
    return re.sub(r'"(latency_ms|\w+_seconds)": [-+.\de]+', "", text)


@pytest.mark.parametrize("mode", ["once", "from"])
def test_a_search_without_memory_never_answers_from_an_older_snapshot(root, tmp_path, mode):
    search = command("search", root, "--query", "[2001, 1, 1, 2]", "--num-probes", 2, "--cache-dir", tmp_path / "cache")
    expected = without_times(subprocess.run(search, check=True, capture_output=True, text=True).stdout)
    assert all(result["id"] >= 2000 for result in json.loads(expected.replace(", }", "}"))["results"])

    def check(printed):
        assert without_times(printed) == expected

    assert sweep(search, tmp_path, mode, lambda: None, check) > 1


@pytest.mark.parametrize("mode", ["once", "from"])
def test_a_build_without_memory_fails_or_is_whole(tmp_path, mode):
    rows = write_rows(tmp_path / "rows.jsonl", 100)
    roots = iter(tmp_path / f"root-{number}" for number in itertools.count())
    arguments = []

    def prepare():
        arguments[:] = build_command(next(roots), rows, "run")

    def check(printed):
        built = json.loads(printed)
        assert built["num_rows"] == 20
        verified = subprocess.run(command("verify", arguments[2]), capture_output=True, text=True)
        assert verified.returncode == 0, verified.stdout + verified.stderr

    assert sweep(arguments, tmp_path, mode, prepare, check) > 1
