"""Fixtures: the command under test (SHARDYFUSION_CLI in the environment, else build/shardyfusion) and snapshots."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess

import numpy as np
import pytest
import snapshot_builder

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"


class CommandLine:
    """Runs the command; every run of it is bounded, and has a cache of its own unless it is told otherwise."""

    def __init__(self, path, cache_dir):
        self.path = str(path)
        self.cache_dir = cache_dir

    def run(self, *arguments, cache=True, timeout=60, **options):
        command = [self.path, *map(str, arguments)]
        if cache and arguments and arguments[0] in ("search", "info", "shards", "health", "route", "verify", "index"):
            command += ["--cache-dir", str(self.cache_dir)]
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        if options["stdin"] is None:
            del options["stdin"]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, encoding="utf-8", **options)

    def lines(self, *arguments, **options):
        """The JSON Lines of a run that succeeds."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def one(self, *arguments, **options):
        lines = self.lines(*arguments, **options)
        assert len(lines) == 1
        return lines[0]

    def search(self, root, query, *arguments, **options):
        query = json.dumps([float(x) for x in query])
        return self.one("search", root, "--query", query, *arguments, **options)

    def fails(self, error_name, *arguments, names=(), **options):
        """A failed operation: its name and what it names on stderr, status 1, and nothing on stdout."""
        done = self.run(*arguments, **options)
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        assert done.stdout == ""
        errors = [line for line in done.stderr.splitlines() if not line.startswith("shardyfusion: warning: ")]
        assert errors and errors[-1].startswith(f"shardyfusion: {error_name}: "), done.stderr
        for name in names:
            assert str(name) in errors[-1], f"{name!r} is not named: {errors[-1]}"
        return errors[-1]

    def misused(self, *arguments, names=(), **options):
        """A usage error: a hint on stderr, status 2, and nothing on stdout."""
        done = self.run(*arguments, **options)
        assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
        assert done.stdout == ""
        assert done.stderr.startswith("shardyfusion: usage: ")
        assert "--help" in done.stderr
        for name in names:
            assert str(name) in done.stderr, f"{name!r} is not named: {done.stderr}"
        return done.stderr


@pytest.fixture(scope="session")
def cli_path():
    path = pathlib.Path(os.environ.get("SHARDYFUSION_CLI", ROOT / "build" / "shardyfusion"))
    assert path.exists(), f"{path}: not built; SHARDYFUSION_CLI names another"
    return path.resolve()


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory):
    """No test reads or leaves anything in the user's own cache; nor need the user have one."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache-home"))


@pytest.fixture
def cli(cli_path, tmp_path):
    return CommandLine(cli_path, tmp_path / "cache")


@pytest.fixture
def snapshot(tmp_path):
    """A small snapshot of the usual kind, for a test to damage."""
    return snapshot_builder.random_snapshot(tmp_path / "snapshot", seed=7)


@pytest.fixture(scope="session")
def shared_snapshot(tmp_path_factory):
    """The same, read only."""
    return snapshot_builder.random_snapshot(tmp_path_factory.mktemp("shared") / "snapshot", seed=7)


@pytest.fixture(scope="session")
def queries(shared_snapshot):
    """Query vectors that suit `snapshot` and `shared_snapshot`."""
    return np.random.default_rng(70).normal(size=(8, shared_snapshot.dim)).astype(np.float32)


@pytest.fixture
def query_text(queries):
    return json.dumps([float(x) for x in queries[0]])


def assert_exact(answer, expected, tolerance=2e-6):
    """The answer holds the expected neighbours; those closer to each other than the tolerance may swap."""
    results = answer["results"]
    assert len(results) == len(expected)
    by_id = {json.dumps(identifier): (score, payload) for identifier, score, payload in expected}
    for result, (_, score, _) in zip(results, expected):
        limit = tolerance * max(1.0, abs(score))
        assert result["score"] == pytest.approx(score, abs=limit)
        known = by_id.get(json.dumps(result["id"]))
        if known is None:
            assert abs(expected[-1][1] - score) <= limit, f"{result['id']!r} does not belong here"
            continue
        assert known[0] == pytest.approx(result["score"], abs=limit), f"{result['id']!r} has another's score"
        assert result["payload"] == known[1]
    assert len({json.dumps(result["id"]) for result in results}) == len(results)
