"""Builds that are killed at random points: what was live stays live, the next build succeeds, nothing stays behind.

Works on any root by the command alone; see test_build_killed.py for directories and s3/test_build_s3.py for a store.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time

import numpy as np


class KilledBuilds:
    def __init__(self, cli, root, folder, environment=None, rows=3000, dim=16):
        self.cli = [str(cli)]
        self.root = str(root)
        self.folder = folder
        self.environment = {**(environment or os.environ), "TMPDIR": str(folder / "tmp")}
        (folder / "tmp").mkdir()
        self.vectors = np.random.default_rng(8).normal(size=(rows, dim)).astype("f4")
        np.save(folder / "x.npy", self.vectors)
        self.published = []  # run ids, in the order in which they were

    def run(self, *arguments):
        command = [*self.cli, *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, (command, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def start(self):
        """Clusters, so that there are artifacts as well as shards."""
        options = ["--backend", "sqlite", "--num-dbs", "4", "--training-rows", "500", "--iterations", "3"]
        command = [*self.cli, "build", self.root, "--vectors", str(self.folder / "x.npy"), *options]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def build(self):
        started = time.monotonic()
        process = self.start()
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        self.published.append(json.loads(output)["run_id"])
        return time.monotonic() - started

    def kill(self, after):
        """A build that is killed, unless it was quicker; its run id if it was."""
        process = self.start()
        try:
            output, errors = process.communicate(timeout=after)
            assert process.returncode == 0, errors
            return json.loads(output)["run_id"]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return None

    def answers(self, row):
        """The live snapshot finds a row; gives its run id."""
        live = self.run("info", self.root, "--cache-dir", self.folder / "cache")[0]["run_id"]
        query = json.dumps(self.vectors[row].tolist())
        found = self.run("search", self.root, "--cache-dir", self.folder / "cache", "--query", query, "--top-k", 1)
        assert found[0]["results"][0]["id"] == row
        return live

    def check_after_kill(self, finished, row):
        live = self.answers(row)
        if finished is not None:
            assert live == finished
        if live != self.published[-1]:
            # It was past the last step. Its run id was not printed, or just so.
            self.published.append(live)

    def all_killed(self, count, seed):
        numbers = random.Random(seed)
        whole = max(self.build(), self.build())
        for i in range(count):
            finished = self.kill(numbers.uniform(0, whole * 1.05))
            self.check_after_kill(finished, numbers.randrange(len(self.vectors)))
            if i % 4 == 3:
                self.build()
                assert self.answers(numbers.randrange(len(self.vectors))) == self.published[-1]
        self.build()

    def clean_up(self):
        """Gives the run ids that are published."""
        self.run("cleanup", self.root, "--yes", "--older-than", 0)
        assert self.run("cleanup", self.root, "--older-than", 0) == []
        assert self.answers(0) == self.published[-1]
        history = {line["run_id"] for line in self.run("history", self.root)}
        assert set(self.published) <= history
        assert os.listdir(self.folder / "tmp") == []
        return history


def check_names(names, history):
    """Every object belongs to a run that is published, and is one that a snapshot has."""
    for name in names:
        assert "/.put-" not in f"/{name}", name
        if name != "_CURRENT":
            run_id = name.split("run_id=")[1].split("/")[0]
            assert run_id in history or run_id.rsplit("_", 1)[0] in history, name
