"""Two processes that fill one cache from a store, and sometimes evict from it, are killed (SIGKILL) at random moments and
started again. No start may fail, no answer may be wrong, and what killed processes leave in the cache must not add up.

    python kills.py [--kills 200] [--seed N]
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import numpy
from servers import ACCESS_KEY, SECRET_KEY, build_folder, clean_environment, install_versitygw, start_versitygw

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "golden"
NAMES = ("sqlite-cosine-cluster", "sqlite-l2-lsh", "lance22-cosine-cluster")
# Trailing bytes that SQLite never looks at: a shard then comes in parts, and takes long enough to be killed in.
PADDING = bytes(20 << 20)
# Of a process that keeps one shard loaded and evicts most others from the cache, whoever fetched them.
EVICTING = ("-s", "1", "-b", str(50 << 20))
TOP_K = 10


class Snapshot:
    def __init__(self, server, name, folder):
        self.name = name
        self.root = f"s3://bucket/kills/{name}"
        self.queries = folder / f"{name}.queries"
        rows = numpy.load(GOLDEN / name / "queries.npy").astype(numpy.float32)[:20]
        self.queries.write_bytes(rows.tobytes())
        self.words = f"search\t{self.queries}\t0\t{len(rows)}\t{TOP_K}\n"
        client = server.client()
        for path in (GOLDEN / name / "snapshot").rglob("*"):
            if path.is_file():
                body = path.read_bytes() + (PADDING if path.name == "shard.db" else b"")
                key = f"kills/{name}/{path.relative_to(GOLDEN / name / 'snapshot')}"
                client.put_object(Bucket="bucket", Key=key, Body=body)


class Process:
    """One that searches all shards, or one that verifies."""

    def __init__(self, snapshot, cache, environment, verifies=False, options=()):
        self.snapshot = snapshot
        self.verifies = verifies
        tool = build_folder() / "tests" / "reader_tool"
        command = [str(tool), "-c", str(cache), *options, snapshot.root]
        if verifies:
            cli = os.environ.get("SHARDYFUSION_CLI", build_folder() / "shardyfusion")
            command = [str(cli), "verify", snapshot.root, "--cache-dir", str(cache)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        if not verifies:
            self.process.stdin.write(snapshot.words.encode())
            self.process.stdin.flush()

    def finishes_within(self, seconds):
        return bool(select.select([self.process.stdout], [], [], max(seconds, 0))[0])

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def results(self):
        """Of a reader: its answer; then it is done."""
        line = self.process.stdout.readline()
        self.process.stdin.close()
        errors = self.process.stderr.read()
        status = self.process.wait(60)
        self.process.stdout.close()
        self.process.stderr.close()
        answer = json.loads(line) if line else {}
        if status or errors or not answer.get("ok"):
            raise AssertionError(f"{self.snapshot.name}: a start failed: status {status}, {errors.decode()}, {answer}")
        return answer["results"]

    def check_verified(self):
        output, errors = self.process.communicate(timeout=60)
        if self.process.returncode:
            raise AssertionError(f"{self.snapshot.name}: verify: {output.decode()[-1000:]} {errors.decode()}")


class Killing:
    def __init__(self, snapshots, folder, seed, environment):
        self.snapshots = snapshots
        self.folder = folder
        self.random = random.Random(seed)
        self.environment = environment
        self.kills = 0
        self.answers = 0
        self.failures = []
        self.expected = {}
        self.clean_files = {}
        self.lifetimes = {}  # of a process that begins with an empty cache
        for snapshot in snapshots:
            start = time.monotonic()
            self.expected[snapshot.name] = self.search(snapshot, folder / f"clean-{snapshot.name}")
            self.lifetimes[snapshot.name] = time.monotonic() - start
            self.clean_files[snapshot.name] = self.files(folder / f"clean-{snapshot.name}")

    @staticmethod
    def files(cache):
        return sorted(str(path.relative_to(cache)) for path in cache.rglob("*"))

    def search(self, snapshot, cache):
        return Process(snapshot, cache, self.environment).results()

    def run_one(self, snapshot, cache, random, verifies):
        """Starts a process and kills it at a moment of its life, if it lives that long; else looks at what it says."""
        moment = random.uniform(0, self.lifetimes[snapshot.name])
        start = time.monotonic()
        options = EVICTING if random.random() < 0.3 else ()
        process = Process(snapshot, cache, self.environment, verifies, options)
        if verifies:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.process.wait(moment)
            if process.process.returncode is not None:
                return process.check_verified()
        elif process.finishes_within(moment - (time.monotonic() - start)):
            self.answers += 1
            if process.results() != self.expected[snapshot.name]:
                raise AssertionError(f"{snapshot.name}: a wrong answer")
            return None
        process.kill()
        self.kills += 1
        return None

    def work(self, cache, snapshots, random, until):
        try:
            while self.kills < until and not self.failures:
                self.run_one(random.choice(snapshots), cache, random, verifies=random.random() < 0.15)
        except BaseException as failure:  # noqa: BLE001: whatever it is, the other worker stops too
            self.failures.append(failure)

    def phase(self, kills):
        """Two workers on one cache, new or as the phase before left it; then what is in it."""
        cache = self.folder / "cache"
        if self.random.random() < 0.5:
            shutil.rmtree(cache, ignore_errors=True)
        chosen = self.random.choice(self.snapshots)
        snapshots = [chosen] if self.random.random() < 0.6 else self.snapshots
        arguments = (cache, snapshots, random.Random(self.random.random()), self.kills + kills)
        workers = [threading.Thread(target=self.work, args=arguments) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self.failures:
            raise self.failures[0]
        self.check_rests(cache, chosen)

    def check_rests(self, cache, snapshot):
        """One snapshot in the cache of several, then another, which takes the folders over: nothing is left of the first but
        the folders that the second does not have."""
        other = next(other for other in self.snapshots if other is not snapshot)
        for served in (other, snapshot):
            if self.search(served, cache) != self.expected[served.name]:
                raise AssertionError(f"{served.name}: a wrong answer after the kills")
        verifier = Process(snapshot, cache, self.environment, verifies=True)
        verifier.check_verified()
        allowed = set(self.clean_files[snapshot.name])
        folders = {name for name in allowed if "/" not in name}
        rests = [name for name in self.files(cache) if name.split("/")[0] in folders or "verify" in name]
        rests = [name for name in rests if name not in allowed]
        if rests:
            raise AssertionError(f"left behind: {rests}")


def run_kills(server, folder, kills, seed, report=lambda text: None):
    """Gives the number of answers that were checked."""
    (folder / "home").mkdir()
    environment = clean_environment(folder / "home")
    environment |= {"AWS_ENDPOINT_URL_S3": server.url, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    killing = Killing([Snapshot(server, name, folder) for name in NAMES], folder, seed, environment)
    while killing.kills < kills:
        killing.phase(min(10, kills - killing.kills))
        report(f"{killing.kills} kills, {killing.answers} answers")
    return killing.answers


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        server = start_versitygw(os.environ.get("VERSITYGW") or shutil.which("versitygw") or install_versitygw(), folder)
        try:
            run_kills(server, folder, arguments.kills, arguments.seed, lambda text: print(text, flush=True))
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
