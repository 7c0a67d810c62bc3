"""A store that speaks HTTP/2: a front over TLS that passes requests on to the first store."""

import asyncio
import hashlib
import http.client
import random
import threading

import hypercorn.asyncio
import hypercorn.config
import pytest
from servers import free_port, wait_for_port
from test_snapshots import NAMES, check_answers, environment, put_snapshot, run  # noqa: F401: one is a fixture
from test_tls import make_authority

SIZE = 40 << 20


class Front:
    """An ASGI application behind hypercorn, on a thread of its own."""

    def __init__(self, upstream_port, folder):
        self.upstream_port = upstream_port
        self.authority = make_authority(folder)
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.seen = []  # (version, method)
        self.connections = set()
        self.stopping = None
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)

    async def serve(self):
        config = hypercorn.config.Config()
        config.bind = [f"127.0.0.1:{self.port}"]
        config.certfile, config.keyfile = str(self.authority / "server.pem"), str(self.authority / "server.key")
        config.errorlog = None
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        await hypercorn.asyncio.serve(self.application, config, shutdown_trigger=self.stopping.wait)

    async def application(self, scope, receive, send):
        if scope["type"] != "http":
            return
        self.seen.append((scope["http_version"], scope["method"]))
        self.connections.add(tuple(scope["client"]))
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, headers, body = await asyncio.to_thread(self.forward, scope, body)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def forward(self, scope, body):
        upstream = http.client.HTTPConnection("127.0.0.1", self.upstream_port, timeout=60)
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        upstream.putrequest(scope["method"], target.decode(), skip_host=True, skip_accept_encoding=True)
        for name, value in scope["headers"]:
            upstream.putheader(name.decode(), value.decode())
        upstream.endheaders(body)
        answer = upstream.getresponse()
        hop = ("connection", "transfer-encoding", "keep-alive")
        headers = [(n.lower().encode(), v.encode()) for n, v in answer.getheaders() if n.lower() not in hop]
        return answer.status, headers, answer.read()

    def __enter__(self):
        self.thread.start()
        wait_for_port(self.port, self)
        return self

    def poll(self):
        return None if self.thread.is_alive() else 1

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join(30)

    def ca(self):
        return self.authority / "ca.pem"


@pytest.fixture(scope="module")
def front(versitygw, tmp_path_factory):
    with Front(versitygw.port, tmp_path_factory.mktemp("http2")) as started:
        yield started


@pytest.mark.parametrize("name", [name for name in NAMES if name in ("sqlite-cosine-cluster", "lance22-cosine-cluster")])
def test_a_golden_snapshot_is_answered_exactly_over_http_2(versitygw, front, environment, tmp_path, name):  # noqa: F811
    root = put_snapshot(versitygw, name)
    environment.setenv("AWS_ENDPOINT_URL_S3", front.url)
    environment.setenv("AWS_CA_BUNDLE", str(front.ca()))
    front.seen.clear()
    check_answers(root, name, tmp_path / "cache")
    assert run("verify", root, "--cache-dir", tmp_path / "cache").returncode == 0
    assert front.seen and {version for version, _ in front.seen} == {"2"}


def test_parts_that_share_a_connection_make_a_whole(versitygw, front, tool, tmp_path):
    body = random.Random(2).randbytes(SIZE)
    versitygw.client().put_object(Bucket="bucket", Key="http2/big", Body=body)
    ours = tool(front.url, root="s3://bucket/http2", ca_path=front.ca())
    assert ours("head", "big")["size"] == SIZE
    front.seen.clear()
    front.connections.clear()
    answer = ours("download", "big", tmp_path / "copy")
    assert answer.get("found"), answer
    assert hashlib.sha256((tmp_path / "copy").read_bytes()).digest() == hashlib.sha256(body).digest()
    assert {version for version, _ in front.seen} == {"2"}
    assert len(front.connections) < len(front.seen)


def test_objects_are_written_over_http_2(versitygw, front, tool, tmp_path):
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "large").write_bytes(random.Random(3).randbytes(20 << 20))
    ours = tool(front.url, root="s3://bucket/http2", ca_path=front.ca())
    assert ours("put", "a=b:c +%", tmp_path / "small", "absent")["stored"]
    assert not ours("put", "a=b:c +%", tmp_path / "small", "absent")["stored"]
    assert ours("upload", "large", tmp_path / "large")["ok"]
    assert ours("list", "")["keys"] == sorted(ours("list", "")["keys"]) and ours("remove_all", "")["ok"]
    assert ours("list", "")["keys"] == []


def test_cancelled_and_broken_streams_leave_the_connection_in_order(versitygw, front, tool):
    versitygw.client().put_object(Bucket="bucket", Key="streams/big", Body=bytes(SIZE))
    ours = tool(front.url, root="s3://bucket/streams", ca_path=front.ca())
    for milliseconds in (1, 5, 20, 50):
        ours("cancel", milliseconds, "get", "big")
        assert not ours("head", "nothing")["found"]
    answers = ours("parallel", 16, "range", "big", 1000, 2000)
    assert all(answer["ok"] for answer in answers)
