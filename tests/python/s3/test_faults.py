"""What goes wrong between us and a store."""

import hashlib
import os
import random

import pytest
from fault_proxy import FaultProxy

BODY = random.Random(1).randbytes(200_000)
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "code": "SlowDown"},
        {"status": 503, "code": ""},
        {"status": 500, "code": "InternalError"},
        {"status": 429, "code": "TooManyRequests"},
        {"status": 400, "code": "RequestTimeout"},
        {"refuse": True},
        {"reset_after": 0},
        {"reset_after": 1},
        {"reset_after": 100_000},
        {"cut_after": 0},
        {"cut_after": 199_999},
        {"corrupt_at": 0},
        {"corrupt_at": 123_456},
    ],
    ids=str,
)
@pytest.mark.parametrize("times", [1, 3])
def test_a_passing_fault_is_overcome(proxy, put, tool, fault, times):
    put("key", BODY, ChecksumAlgorithm="CRC32")
    proxy.add(method="GET", times=times, **fault)
    answer = tool(proxy, root=put.root)("get", "key")
    assert answer.get("sha256") == DIGEST, answer
    # What came before a break is not asked for again: a later break may lie behind the end of what is left.
    assert 2 <= len(proxy.seen) <= times + 1


def test_a_lasting_fault_is_a_transient_error_after_five_retries(proxy, put, tool):
    put("key", BODY)
    proxy.add(times=100, status=503, code="SlowDown")
    answer = tool(proxy, root=put.root)("get", "key")
    assert answer["error"] == "S3TransientError" and "SlowDown" in answer["message"]
    assert len(proxy.seen) == 6


@pytest.mark.parametrize("status,code", [(403, "AccessDenied"), (400, "InvalidRequest"), (501, "NotImplemented"), (405, "MethodNotAllowed")])
def test_an_error_that_means_no_is_not_retried(proxy, tool, status, code):
    proxy.add(times=100, status=status, code=code)
    answer = tool(proxy)("get", "key")
    assert answer["error"] == "ShardyfusionError" and f"{status} {code}: as told" in answer["message"]
    assert len(proxy.seen) == 1


def test_the_server_says_how_long_to_wait(proxy, put, tool):
    put("key", BODY)
    proxy.add(status=503, code="SlowDown", headers={"Retry-After": "1"})
    assert tool(proxy, root=put.root)("get", "key")["sha256"] == DIGEST
    assert proxy.seen[1].at - proxy.seen[0].at >= 1


def test_a_wait_longer_than_the_budget_is_not_begun(proxy, tool):
    proxy.add(times=100, status=503, code="SlowDown", headers={"Retry-After": "3600"})
    assert tool(proxy)("get", "key")["error"] == "S3TransientError"
    assert len(proxy.seen) == 1


def test_a_broken_download_goes_on_where_it_broke(proxy, put, tool):
    put("key", BODY)
    proxy.add(method="GET", cut_after=150_000)
    assert tool(proxy, root=put.root)("get", "key")["sha256"] == DIGEST
    again = proxy.seen[1].headers
    assert again["range"] == "bytes=150000-" and again["if-match"] == f'"{hashlib.md5(BODY).hexdigest()}"'


def test_progress_is_not_counted_as_failure(proxy, put, tool):
    body = random.Random(2).randbytes(2_000_000)
    put("key", body)
    proxy.add(method="GET", times=20, cut_after=90_000)
    assert tool(proxy, root=put.root)("get", "key")["sha256"] == hashlib.sha256(body).hexdigest()
    assert len(proxy.seen) == 21


def test_two_versions_are_never_mixed(proxy, put, tool):
    put("key", BODY)
    other = random.Random(3).randbytes(200_000)

    class Replacing:
        """Replaces the object as soon as the first answer broke."""

        def __init__(self):
            self.take = proxy.take

        def __call__(self, seen):
            if len(proxy.seen) == 1:
                put("key", other)
            return self.take(seen)

    proxy.take = Replacing()
    proxy.add(method="GET", cut_after=100_000)
    assert tool(proxy, root=put.root)("get", "key")["sha256"] == hashlib.sha256(other).hexdigest()


def test_an_etag_that_changes_under_a_resumed_download_begins_it_anew(proxy, put, tool):
    put("key", BODY)
    proxy.add(method="GET", cut_after=100_000)
    proxy.add(method="GET", etag='"another"')
    assert tool(proxy, root=put.root)("get", "key")["sha256"] == DIGEST
    assert "range" in proxy.seen[1].headers and "range" not in proxy.seen[2].headers


def test_versions_that_never_agree_end_in_an_error(proxy, put, tool):
    put("key", BODY)
    for i in range(200):
        proxy.add(method="GET", cut_after=100_000, etag=f'"{i}"')
    answer = tool(proxy, root=put.root, max_attempts=3)("get", "key")
    assert answer["error"] == "S3TransientError"
    assert len(proxy.seen) < 20


@pytest.mark.parametrize("fault", [{"stall_after": 0}, {"stall_after": 100_000}, {"delay": 5}, {"drip": 0.05}], ids=str)
def test_a_transfer_that_stands_still_is_given_up_and_tried_again(proxy, put, tool, fault):
    put("key", BODY)
    proxy.add(method="GET", **fault)
    answer = tool(proxy, root=put.root, read_timeout=0.4)("get", "key")
    assert answer["sha256"] == DIGEST
    assert len(proxy.seen) == 2


def test_a_server_that_never_answers_is_a_transient_error(proxy, tool):
    proxy.add(times=100, delay=30)
    answer = tool(proxy, read_timeout=0.1, max_attempts=2)("get", "key")
    assert answer["error"] == "S3TransientError" and "stopped sending" in answer["message"]


def test_nobody_there_is_a_transient_error(tool):
    answer = tool("http://127.0.0.1:9", max_attempts=2)("get", "key")
    assert answer["error"] == "S3TransientError" and "Failed to connect" in answer["message"]


def test_a_slow_small_request_gets_a_second_try_beside_it(proxy, put, tool):
    put("key", b"small")
    ours = tool(proxy, root=put.root)
    for _ in range(30):
        ours("get", "key")
    before = len(proxy.seen)
    proxy.add(method="GET", delay=20)
    answer = ours("get", "key")
    assert answer["text"] == "small" and answer["ms"] < 15_000
    first, second = proxy.seen[before:]
    assert first.connection != second.connection


def test_cancellation_stops_the_transfer(proxy, put, tool):
    put("key", BODY)
    ours = tool(proxy, root=put.root)
    proxy.add(delay=30)
    answer = ours("cancel", 200, "get", "key")
    assert answer["error"] == "CancelledError" and answer["ms"] < 10_000
    proxy.add(times=10, status=503, code="SlowDown", headers={"Retry-After": "25"})
    answer = ours("cancel", 200, "get", "key")
    assert answer["error"] == "CancelledError" and answer["ms"] < 10_000


def test_a_clock_that_is_off_is_set_by_the_servers(proxy, put, tool):
    put("key", b"x")
    proxy.add(status=403, code="RequestTimeTooSkewed", headers={"Date": "Sun, 22 Nov 2020 13:00:00 GMT"})
    proxy.add(status=403, code="RequestTimeTooSkewed", headers={"Date": "Sun, 22 Nov 2020 13:00:00 GMT"})
    answer = tool(proxy, root=put.root)("get", "key")
    assert "RequestTimeTooSkewed" in answer["message"]
    assert proxy.seen[1].headers["x-amz-date"].startswith("20201122T1300")
    assert len(proxy.seen) == 2


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 301, "code": "PermanentRedirect", "headers": {"x-amz-bucket-region": "eu-west-3"}},
        {"status": 400, "code": "AuthorizationHeaderMalformed", "headers": {"document": "<Region>eu-west-3</Region>"}},
    ],
    ids=str,
)
def test_another_region_is_followed(proxy, put, tool, fault):
    put("key", b"x")
    proxy.add(**fault)
    # The store itself then says in the same words that it is where it was.
    assert tool(proxy, root=put.root)("get", "key")["found"]
    regions = [seen.headers["authorization"].split("/")[2] for seen in proxy.seen]
    assert regions == ["us-east-1", "eu-west-3", "us-east-1"]


def test_a_region_that_only_a_header_names_is_followed_and_remembered(proxy, put, tool):
    proxy.add(status=400, headers={"x-amz-bucket-region": "eu-west-3"}, method="HEAD")
    proxy.add(status=200, times=2)
    ours = tool(proxy, root=put.root)
    assert ours("head", "key")["found"] and ours("head", "key")["found"]
    regions = [seen.headers["authorization"].split("/")[2] for seen in proxy.seen]
    assert regions == ["us-east-1", "eu-west-3", "eu-west-3"]


@pytest.mark.parametrize("status,code", [(301, "PermanentRedirect"), (302, ""), (307, "TemporaryRedirect"), (308, "")])
@pytest.mark.parametrize("header", ["Location", "document"])
def test_a_redirect_never_takes_credentials_to_another_host(proxy, versitygw, put, tool, status, code, header):
    put("key", b"there")
    with FaultProxy(versitygw.port) as other:
        targets = {"Location": f"{other.url}/bucket/ignored", "document": f"<Endpoint>127.0.0.1:{other.port}</Endpoint>"}
        proxy.add(times=9, status=status, code=code or "Redirect", headers={header: targets[header]})
        answer = tool(proxy, root=put.root, environment={"AWS_SESSION_TOKEN": "a-token"})("get", "key")
        assert answer["error"] == "ShardyfusionError", answer
        assert f"another host, 127.0.0.1:{other.port}, which is not followed" in answer["message"], answer
        assert other.seen == [] and len(proxy.seen) == 1


def test_redirection_in_circles_ends(proxy, tool):
    proxy.add(times=100, status=307, code="TemporaryRedirect", headers={"Location": proxy.url})
    assert "redirect" in tool(proxy)("get", "key")["message"]
    for i in range(100):
        proxy.add(status=301, code="PermanentRedirect", headers={"x-amz-bucket-region": f"region-{i}"})
    proxy.faults = proxy.faults[1:]
    assert "redirected too often" in tool(proxy)("get", "key")["message"]


def test_a_listing_that_never_ends_is_refused(proxy, tool):
    document = "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"

    original = proxy.server.RequestHandlerClass.answer_error

    def answer(handler, fault, seen):
        handler.send_response_only(200)
        handler.send_header("Content-Length", str(len(document)))
        handler.end_headers()
        handler.wfile.write(document.encode())

    proxy.server.RequestHandlerClass.answer_error = answer
    try:
        proxy.add(times=100, status=200)
        assert "does not say how it goes on" in tool(proxy)("list", "")["message"]
    finally:
        proxy.server.RequestHandlerClass.answer_error = original


def test_many_threads_share_one_storage(proxy, put, tool):
    put("key", BODY, ChecksumAlgorithm="CRC32")
    for fault in ({"status": 503}, {"cut_after": 70_000}, {"refuse": True}, {"corrupt_at": 9}):
        proxy.add(method="GET", times=6, **fault)
    answers = tool(proxy, root=put.root)("parallel", 32, "get", "key")
    assert [a.get("sha256") for a in answers] == [DIGEST] * 32


def test_proxies_of_the_environment_are_used(proxy, versitygw, put, tool):
    put("key", b"by way of")
    # A plain HTTP proxy gets the whole URL in the request line; this one forwards it as it is.
    host = f"http://127.0.0.1:{versitygw.port}"
    ours = tool(host, root=put.root, environment={"http_proxy": proxy.url})
    ours("get", "key")
    assert proxy.seen and proxy.seen[0].path.startswith(host)
    before = len(proxy.seen)
    ours = tool(host, root=put.root, environment={"http_proxy": proxy.url, "NO_PROXY": "127.0.0.1"})
    assert ours("get", "key")["text"] == "by way of"
    assert len(proxy.seen) == before
