"""Object storage: options and credentials, against a server of another make."""

import asyncio
import datetime
import http.server
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

import numpy as np
import pytest
from shardyfusion.async_manifest_store import AsyncS3ManifestStore
from shardyfusion.config import WriterOutputConfig
from shardyfusion.credentials import S3Credentials, StaticCredentialProvider
from shardyfusion.errors import ConfigValidationError, ReaderStateError, S3TransientError
from shardyfusion.sqlite_vec_adapter import SqliteVecFactory
from shardyfusion.storage import backend_of
from shardyfusion.vector import AsyncShardedVectorReader, ShardedVectorReader
from shardyfusion.vector.writer import (
    VectorIndexConfig,
    VectorShardedWriteConfig,
    VectorShardingConfig,
    write_sharded,
)

boto3 = pytest.importorskip("boto3")


@pytest.fixture(scope="module")
def server():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONPATH")}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture
def stored(server, published, tmp_path, monkeypatch):
    """The snapshot in a bucket; the arguments of `open`."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_")):
            monkeypatch.delenv(name)
    client = boto3.client(
        "s3", endpoint_url=server, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    bucket = f"bucket-{time.monotonic_ns()}"
    client.create_bucket(Bucket=bucket)
    for path in pathlib.Path(published.root).rglob("*"):
        if path.is_file():
            client.put_object(Bucket=bucket, Key=f"p/{path.relative_to(published.root)}", Body=path.read_bytes())
    return {
        "s3_prefix": f"s3://{bucket}/p",
        "local_root": str(tmp_path / "s3-cache"),
        "s3_connection_options": {"endpoint_url": server, "region_name": "us-east-1", "addressing_style": "path"},
        "credential_provider": StaticCredentialProvider("a", "b"),
    }


class Boom(Exception):
    pass


class Provider:
    def __init__(self):
        self.count = 0
        self.failure = None

    def resolve(self):
        self.count += 1
        if self.failure:
            raise self.failure
        in_an_hour = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        return S3Credentials("a", "b", None, in_an_hour)


async def test_a_snapshot_in_a_bucket_is_read(published, stored):
    provider = Provider()
    async with await AsyncShardedVectorReader.open(**stored | {"credential_provider": provider}) as reader:
        query = published.query()
        assert [r.id for r in await reader.search(query)] == published.expected_ids(query)
        assert await reader.refresh() is False
    assert provider.count == 1
    options = {name: stored[name] for name in ("credential_provider", "s3_connection_options")}
    store = AsyncS3ManifestStore(stored["s3_prefix"], **options)
    assert (await store.load_current()).run_id == published.live.run_id
    assert len(await store.list_manifests()) == 1


def test_the_synchronous_reader_reads_it_too(published, stored):
    with ShardedVectorReader(**stored, preload_shards=True) as reader:
        assert [r.id for r in reader.search(published.query())] == published.expected_ids(published.query())


async def test_errors_of_a_credential_provider_reach_the_caller_unchanged(stored):
    provider = Provider()
    provider.failure = Boom("no keys today")
    with pytest.raises(Boom) as caught:
        await AsyncShardedVectorReader.open(**stored | {"credential_provider": provider})
    assert caught.value is provider.failure


async def test_a_cancelled_transfer_ends_at_once(tmp_path):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(16)  # takes connections, and never answers
    where = {
        "s3_prefix": "s3://bucket/p",
        "local_root": str(tmp_path / "cache"),
        "credential_provider": StaticCredentialProvider("a", "b"),
    }
    options = {"endpoint_url": f"http://127.0.0.1:{listener.getsockname()[1]}", "read_timeout": 60}
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await AsyncShardedVectorReader.open(**where, s3_connection_options=options)
    assert time.monotonic() - started < 20
    listener.close()
    with pytest.raises(S3TransientError) as caught:
        await AsyncShardedVectorReader.open(**where, s3_connection_options=options | {"max_attempts": 1})
    assert caught.value.retryable is True


def test_a_snapshot_is_written_to_a_bucket(stored, tmp_path):
    vectors = np.random.default_rng(3).standard_normal((200, 8)).astype(np.float32)
    provider = Provider()
    config = VectorShardedWriteConfig(
        index_config=VectorIndexConfig(dim=8),
        sharding=VectorShardingConfig(num_dbs=3, train_centroids=True),
        output=WriterOutputConfig(local_root=tmp_path / "staging"),
        s3_prefix=stored["s3_prefix"] + "/written",
        s3_connection_options=stored["s3_connection_options"],
        credential_provider=provider,
    )
    result = write_sharded(vectors, config)
    assert provider.count >= 1
    assert all(shard.db_url.startswith("s3://") for shard in result.winners)
    with ShardedVectorReader(**stored | {"s3_prefix": config.s3_prefix}) as reader:
        assert reader.snapshot_info().run_id == result.run_id
        assert [found.id for found in reader.search(vectors[17], top_k=1)] == ["17"]
    provider.failure = Boom("no keys")
    with pytest.raises(Boom, match="no keys"):
        write_sharded(vectors, config)


class Closer(Provider):
    """Its keys are old at once, and it closes the reader that asks for them."""

    reader = None

    def resolve(self):
        found = super().resolve()
        if self.reader is not None:
            self.reader.close()
        return S3Credentials(
            found.access_key_id,
            found.secret_access_key,
            expires_at=datetime.datetime.now(datetime.timezone.utc),
        )


def test_a_provider_cannot_wait_for_the_reader_that_asks_it(stored):
    """The thread that it is called on would wait for itself."""
    provider = Closer()
    provider.reader = reader = ShardedVectorReader(**stored | {"credential_provider": provider})
    query = np.zeros(reader.snapshot_info().dim, np.float32)
    with pytest.raises(ReaderStateError, match="resolve.. of a credential provider can't wait for a reader"):
        reader.search(query, top_k=1)
    provider.reader = None
    assert len(reader.search(query, top_k=1)) == 1
    reader.close()


@pytest.fixture
def recorded(published, tmp_path, monkeypatch):
    """A store that answers without looking for signatures, and the headers of the requests that it saw."""
    root = pathlib.Path(published.root)
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            seen.append({name.lower(): value for name, value in self.headers.items()})
            path = root / urllib.parse.unquote(self.path).removeprefix("/bucket/p/").partition("?")[0]
            body = path.read_bytes() if path.is_file() else b""
            self.send_response(200 if path.is_file() else 404)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"one"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

    for name in list(os.environ):
        if name.startswith(("AWS_", "S3_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()


def test_anonymous_access_needs_no_credentials_and_signs_nothing(recorded, tmp_path):
    endpoint, seen = recorded
    options = {"endpoint_url": endpoint, "anonymous": True}
    with ShardedVectorReader(
        s3_prefix="s3://bucket/p", local_root=str(tmp_path / "cache"), s3_connection_options=options
    ) as reader:
        assert reader.snapshot_info().num_dbs > 0
    store = AsyncS3ManifestStore("s3://bucket/p", s3_connection_options=options)
    assert asyncio.run(store.load_current()) is not None
    assert seen and all("authorization" not in headers for headers in seen)


@pytest.mark.parametrize("option", [{"requester_pays": True}, {"request_payer": "requester"}, {"request_payer": True}])
def test_the_requester_pays_where_an_option_says_so(recorded, tmp_path, option):
    endpoint, seen = recorded
    with ShardedVectorReader(
        s3_prefix="s3://bucket/p",
        local_root=str(tmp_path / "cache"),
        s3_connection_options={"endpoint_url": endpoint, **option},
        credential_provider=StaticCredentialProvider("a", "b"),
    ):
        pass
    assert seen and all(headers["x-amz-request-payer"] == "requester" for headers in seen)
    assert all("x-amz-request-payer" in headers["authorization"] for headers in seen)


@pytest.mark.parametrize(
    "options,words",
    [
        ({"anonymous": "yes"}, "anonymous: expected a bool, found 'yes'"),
        ({"anonymous": True}, "anonymous: expected no credential_provider"),
        ({"requester_pays": 1}, "requester_pays: expected a bool"),
        ({"request_payer": "bucket-owner"}, 'request_payer: expected "requester" or a bool'),
        ({"request_payer": "requester", "requester_pays": False}, "request_payer: expected what requester_pays=False says"),
    ],
)
def test_options_that_make_no_sense_are_named(tmp_path, options, words):
    with pytest.raises(ConfigValidationError, match=re.escape(words)):
        ShardedVectorReader(
            s3_prefix="s3://bucket/p",
            local_root=str(tmp_path),
            s3_connection_options=options,
            credential_provider=StaticCredentialProvider("a", "b"),
        )


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_control_c_ends_a_write_whose_store_does_not_answer(tmp_path, method):
    """The listing of what is there, or the record of the run."""
    waiting, stopping = threading.Event(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == method:
                waiting.set()
                stopping.wait(120)
                return
            body = b"<ListBucketResult></ListBucketResult>" if self.command == "GET" else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = answer

    script = f"""
import signal, numpy as np
from shardyfusion.vector.writer import VectorIndexConfig, VectorShardedWriteConfig, VectorShardingConfig, write_sharded
signal.signal(signal.SIGINT, signal.default_int_handler)
write_sharded(np.ones((9, 4), np.float32), VectorShardedWriteConfig(index_config=VectorIndexConfig(dim=4),
    sharding=VectorShardingConfig(num_dbs=1, train_centroids=True), s3_prefix="s3://bucket/p"))
"""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3_"))}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        environment = {**kept, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": url}
        environment["TMPDIR"] = str(tmp_path)
        process = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True)
        assert waiting.wait(60)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=20)[1]
        stopping.set()
        server.shutdown()
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in errors, errors
    assert os.listdir(tmp_path) == []


def objects_of(stored, prefix):
    """The bodies and ETags of the objects below a prefix of the bucket, by the ends of their names."""
    client = boto3.client(
        "s3",
        endpoint_url=stored["s3_connection_options"]["endpoint_url"],
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    bucket = stored["s3_prefix"].split("/")[2]
    listed = client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
    found = {each["Key"].rsplit("/", 1)[1]: client.get_object(Bucket=bucket, Key=each["Key"]) for each in listed}
    return {name: (answer["Body"].read(), answer["ETag"]) for name, answer in found.items()}


@pytest.mark.parametrize("alone", [False, True], ids=["a write", "a writer of one shard"])
def test_a_sidecar_has_the_etag_of_its_database(stored, tmp_path, alone):
    factory = SqliteVecFactory(
        s3_connection_options=stored["s3_connection_options"], credential_provider=stored["credential_provider"]
    )
    vectors = np.random.default_rng(1).standard_normal((50, 8)).astype(np.float32)
    root = stored["s3_prefix"].rsplit("/", 1)[0] + "/sidecars"
    index = VectorIndexConfig(dim=8)
    if alone:
        with factory(db_url=f"{root}/shards/x", local_dir=tmp_path / "local", index_config=index) as writer:
            writer.add_batch(list(range(50)), vectors)
            writer.seal()
            num_bytes = writer.db_bytes()
    else:
        config = VectorShardedWriteConfig(
            index_config=index,
            sharding=VectorShardingConfig(num_dbs=1, train_centroids=True),
            s3_prefix=root,
            adapter_factory=factory,
            s3_connection_options=stored["s3_connection_options"],
            credential_provider=stored["credential_provider"],
        )
        num_bytes = write_sharded(vectors, config).winners[0].db_bytes
    found = objects_of(stored, "sidecars/shards/")
    database, etag = found["shard.db"]
    sidecar, _ = found["shard.sidecar"]
    assert num_bytes == len(database)
    assert sidecar[:5] == b"SQPC\x08" and sidecar[18 : 18 + sidecar[17]].decode() == etag
    assert len(etag) == sidecar[17] > 2


def test_an_etag_is_that_of_the_store(stored):
    backend = backend_of(stored["s3_prefix"], stored["credential_provider"], stored["s3_connection_options"])
    backend.put(f"{stored['s3_prefix']}/one", b"1", "text/plain")
    assert backend.head(f"{stored['s3_prefix']}/one") == '"c4ca4238a0b923820dcc509a6f75849b"'  # MD5 of "1"
    with pytest.raises(FileNotFoundError, match="two"):
        backend.head(f"{stored['s3_prefix']}/two")
