"""The examples serve: they are started, driven over HTTP under load, refreshed meanwhile, and stopped."""

import concurrent.futures
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest

pytestmark = pytest.mark.foreign
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples" / "python"


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


SERVICES = {
    "fastapi": ["-m", "uvicorn", "fastapi_service:app", "--log-level", "warning", "--port"],
    "fastapi-uvloop": ["-m", "uvicorn", "fastapi_service:app", "--loop", "uvloop", "--log-level", "warning", "--port"],
    "aiohttp": ["aiohttp_service.py"],
}


class Service:
    def __init__(self, kind, root, cache, log, arguments=(), **settings):
        self.port = free_port()
        environment = os.environ | {"SNAPSHOT": str(root), "CACHE": str(cache), "REFRESH_SECONDS": "0.05"} | settings
        self.log = log
        with open(log, "wb") as output:
            command = [sys.executable, *SERVICES[kind], str(self.port), *arguments]
            self.process = subprocess.Popen(command, cwd=EXAMPLES, env=environment, stdout=output, stderr=output)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        self.wait_until_up()

    def wait_until_up(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.client.get("/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def search(self, query, top_k=10):
        answer = self.client.post("/search", json={"vector": query.tolist(), "top_k": top_k})
        assert answer.status_code == 200, answer.text
        return [result["id"] for result in answer.json()["results"]]

    def stop(self):
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


@pytest.fixture(params=SERVICES)
def service(request, published, where, tmp_path):
    started = Service(request.param, where["s3_prefix"], where["local_root"], tmp_path / "log")
    started.kind = request.param
    yield started
    if started.process.poll() is None:
        started.stop()


def test_a_service_answers_under_load_while_it_is_refreshed(service, published):
    queries = [published.query(i) for i in range(16)]
    expected = [[published.expected_ids(query) for query in queries]]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for round_number in range(3):
            searches = [pool.submit(service.search, queries[i % 16]) for i in range(160)]
            published.publish()
            expected.append([published.expected_ids(query) for query in queries])
            for i, search in enumerate(searches):
                assert search.result() in [answers[i % 16] for answers in expected]
    deadline = time.monotonic() + 30
    while published.live.manifest_ref != service.client.get("/health").json()["manifest"]:
        assert time.monotonic() < deadline, "never refreshed"
        time.sleep(0.02)
    assert [service.search(query) for query in queries] == expected[-1]


def test_a_service_reports_an_error_and_stops(service):
    assert service.client.post("/search", json={"vector": [1.0, 2.0]}).status_code == 400
    assert service.client.get("/health").json()["status"] in ("healthy", "degraded")
    if service.kind != "aiohttp":
        service.search(np.ones(16))
        assert "shardyfusion_searches_total" in service.client.get("/metrics").text
    service.stop()
    # uvicorn hands the signal on once it has shut down.
    assert service.process.returncode in (0, -signal.SIGTERM), service.log.read_text()
    assert "Traceback" not in service.log.read_text()
    assert "unclosed" not in service.log.read_text()


MALFORMED = {
    "not JSON": b"{",
    "not UTF-8": b'{"vector": ["\xff"]}',
    "empty": b"",
    "a list": b"[1, 2]",
    "null": b"null",
    "no vector": b"{}",
    "a text for a vector": b'{"vector": "1, 2"}',
    "an object for a vector": b'{"vector": {"0": 1}}',
    "texts in the vector": b'{"vector": ["one", "two"]}',
    "lists in the vector": b'{"vector": [[1, 2]]}',
    "null in the vector": b'{"vector": [null]}',
    "a NaN": b'{"vector": [NaN]}',
    "infinite": b'{"vector": [1e400]}',
    "an integer of 500 digits": b'{"vector": [' + b"9" * 500 + b"]}",
    "top_k that is no number": b'{"vector": [1], "top_k": "many"}',
    "top_k of 0": b'{"vector": [1], "top_k": 0}',
    "top_k of a million": b'{"vector": [1], "top_k": 1000000}',
    "top_k that is null": b'{"vector": [1], "top_k": null}',
}


def test_malformed_requests_are_the_callers_fault(service):
    for what, body in MALFORMED.items():
        answer = service.client.post("/search", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (what, answer.status_code, answer.text)
    assert service.client.post("/search", content=b"{}", headers={"Content-Type": "text/plain; charset=no-such"}).status_code == 400
    assert "Traceback" not in service.log.read_text()
    assert len(service.search(np.ones(16))) == 10


def test_metrics_of_several_workers_add_up(published, where, tmp_path):
    (tmp_path / "metrics").mkdir()
    service = Service(
        "fastapi",
        where["s3_prefix"],
        where["local_root"],
        tmp_path / "log",
        ["--workers", "2"],
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "metrics"),
    )
    try:
        for _ in range(20):  # each over a connection of its own, which any worker may accept
            url = f"http://127.0.0.1:{service.port}/search"
            assert httpx.post(url, json={"vector": [1.0] * 16}, timeout=30).status_code == 200
        for _ in range(4):
            text = httpx.get(f"http://127.0.0.1:{service.port}/metrics", timeout=30).text
            assert 'shardyfusion_searches_total{error=""} 20.0' in text
    finally:
        service.stop()


def test_the_script_finds_words():
    done = subprocess.run([sys.executable, EXAMPLES / "search.py", "paris"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("paris: paris (0.000), ")


def test_the_command_comes_with_the_package(published, where):
    command = [sys.executable, "-m", "shardyfusion", "info", where["s3_prefix"], "--cache-dir", where["local_root"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert published.live.run_id in done.stdout
    failed = subprocess.run([*command[:3], "info", "/nowhere"], capture_output=True, text=True, timeout=60)
    assert failed.returncode == 1
    assert "ReaderStateError" in failed.stderr
