"""What a store answers: how much of it is taken, how a refusal is told, and what of it is shown."""

import json
import subprocess
from urllib.parse import unquote

import numpy
import pytest
from fault_proxy import Fault
from servers import SECRET_KEY
from test_build_s3 import cli_path, store_environment
from test_credentials import write_files
from test_snapshots import GOLDEN, put_snapshot


def answer_with(proxy, monkeypatch, make):
    """Has the proxy answer each request itself, with status 200 and the document that `make` gives for it."""

    def answer(handler, fault, seen):
        document = make(seen).encode()
        handler.send_response_only(200)
        handler.send_header("Content-Length", str(len(document)))
        handler.end_headers()
        handler.wfile.write(document)

    monkeypatch.setattr(proxy.server.RequestHandlerClass, "answer_error", answer)
    proxy.add(times=10**9, status=200)


def page(names, token):
    keys = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in names)
    return (f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
            f"{keys}</ListBucketResult>")


@pytest.mark.parametrize(
    "names,bound",
    [(0, "at most 2000 pages"), (1000, "names of at most 64 MiB")],
    ids=["empty pages", "long names"],
)
def test_a_listing_that_always_has_another_page_ends_at_a_bound(proxy, tool, monkeypatch, names, bound):
    made = []

    def make(seen):
        made.append(seen)
        return page([f"prefix/folder/{len(made):06}-{i:06}-{'x' * 900}" for i in range(names)], len(made))

    answer_with(proxy, monkeypatch, make)
    answer = tool(proxy)("list", "folder/")
    pages = {seen.path for seen in made}  # a slow request is sent twice
    assert answer["error"] == "ShardyfusionError" and len(pages) <= 2000
    assert "s3://bucket/prefix/folder/" in answer["message"] and bound in answer["message"], answer


def test_tokens_that_go_round_in_circles_end_at_a_bound(proxy, tool, monkeypatch):
    answer_with(proxy, monkeypatch, lambda seen: page([], "b" if "continuation-token=a" in seen.path else "a"))
    assert "at most 2000 pages" in tool(proxy)("list", "")["message"]


def test_history_with_a_limit_asks_for_the_end_of_the_listing_only(proxy, versitygw, tmp_path):
    root = put_snapshot(versitygw, "sqlite-l2-lsh")
    prefix = root.removeprefix("s3://bucket/")
    client = versitygw.client()
    live = json.loads(client.get_object(Bucket="bucket", Key=f"{prefix}/_CURRENT")["Body"].read())["manifest_ref"]
    for year in (2001, 2002, 2003):
        client.put_object(Bucket="bucket", Key=f"{prefix}/manifests/{year}-01-01T00:00:00.000000Z_run_id=old/manifest", Body=b"x")
    environment = store_environment(proxy, tmp_path / "home")

    def history(limit):
        before = len(proxy.seen)
        command = [cli_path(), "history", root, "--limit", str(limit)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        listings = [seen.path for seen in proxy.seen[before:] if "list-type" in seen.path]
        return [json.loads(line)["ref"] for line in done.stdout.splitlines()], listings

    refs, listings = history(1)
    assert refs == [live] and len(listings) == 1 and "start-after" in listings[0]
    refs, listings = history(3)
    assert refs[0] == live and ["2003" in refs[1], "2002" in refs[2]] == [True, True]
    client.put_object(Bucket="bucket", Key=f"{prefix}/manifests/2999-01-01T00:00:00.000000Z_run_id=new/manifest", Body=b"x")
    refs, listings = history(1)
    assert "2999" in refs[0] and len(listings) == 1


def test_a_body_that_is_announced_as_too_large_is_not_fetched(proxy, tool, put):
    put("key", b"x")
    proxy.add(status=200, headers={"Content-Length": str(2**40)})
    answer = tool(proxy, root=put.root)("get", "key")
    assert "at most" in answer["message"] and answer["ms"] < 10_000, answer


def test_a_refused_listing_is_told_as_one(proxy, tool):
    proxy.add(status=403, code="AccessDenied")
    message = tool(proxy)("list", "manifests/")["message"]
    assert message.startswith("LIST s3://bucket/prefix/manifests/: status 403 AccessDenied") and "s3:ListBucket" in message


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_refused_object_is_not_told_as_missing(proxy, tool, method):
    proxy.add(status=403, code="AccessDenied")
    answer = tool(proxy)(method, "key")
    assert answer["error"] == "ShardyfusionError" and "denied, or it does not exist" in answer["message"], answer


def search(environment, root, query, cache):
    command = [cli_path(), "search", root, "--query", json.dumps(query), "--cache-dir", str(cache), "--num-probes", "64"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", ["sqlite-l2-lsh", "lance22-cosine-cluster"])
def test_a_policy_without_listing_serves_sqlite_vec_and_names_what_lance_needs(proxy, versitygw, tmp_path, name):
    """Such a store answers 403 for what is missing."""
    root = put_snapshot(versitygw, name)
    client = versitygw.client()
    listed = client.get_paginator("list_objects_v2").paginate(Bucket="bucket")
    there = {f"/bucket/{entry['Key']}" for found in listed for entry in found.get("Contents", [])}
    def refuse(seen):
        path = unquote(seen.path.partition("?")[0])
        is_denied = "list-type" in seen.path or (seen.method in ("GET", "HEAD") and path not in there)
        return Fault(status=403, code="AccessDenied") if is_denied else Fault()

    proxy.choose = refuse
    environment = store_environment(proxy, tmp_path / "home")
    query = numpy.load(GOLDEN / name / "queries.npy")[0].astype(float).tolist()
    done = search(environment, root, query, tmp_path / "cache")
    if name.startswith("sqlite"):
        assert done.returncode == 0 and json.loads(done.stdout)["results"], done.stderr
        verify = [cli_path(), "verify", root, "--cache-dir", str(tmp_path / "other")]
        assert subprocess.run(verify, env=environment, capture_output=True, timeout=60).returncode == 0
    else:
        assert done.returncode == 1 and "s3:ListBucket" in done.stderr and "_versions/" in done.stderr, done.stderr


def test_what_a_store_repeats_of_a_request_is_left_out(proxy, tool):
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    said = (f"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101 Signature={'0f' * 32} x-amz-security-token:tok/en {secret} "
            f"https://b.example/k?X-Amz-Signature={'ab' * 32} {SECRET_KEY} &#x9b;31m and &#x202e;turned")
    proxy.add(status=403, code="SignatureDoesNotMatch", headers={"document": f"<Message>{said}</Message>", "x-amz-request-id": "id\x1b[2J"})
    message = tool(proxy)("get", "key")["message"]
    assert "SignatureDoesNotMatch" in message and "\\x9b31m" in message and "\\u202eturned" in message, message
    for leaked in ("AKIAIOSF", "0f0f", "abab", "tok/en", secret, SECRET_KEY, "\u009b", "\u202e", "\x1b"):
        assert leaked not in message, message


@pytest.mark.parametrize(
    "command,expected",
    [
        ("echo the sign-on has expired >&2; exit 3", "exit status 3: the sign-on has expired"),
        ("exit 4", "exit status 4 and said nothing"),
        ("kill -9 $$", "signal 9"),
        ("printf 'red \\033[31m\\n' >&2; exit 1", "exit status 1: red \\x1b[31m"),
        (f"echo token={SECRET_KEY} >&2; exit 1", "exit status 1: token=…"),
        ("yes | head -c 9000000 >&2; exit 1", "exit status 1: y y y"),
        ("exec no-such-program", "exit status 127"),
        ("yes", "at most 65536 bytes"),
        ("-c 'exit 5'", "exit status 127"),
    ],
)
def test_a_credential_process_that_fails_says_how(versitygw, tool, command, expected):
    write_files(tool, f"[default]\ncredential_process = {command}\n")
    message = tool(versitygw, keys=False)("get", "key")["message"]
    assert expected in message and len(message) < 500 and SECRET_KEY not in message, message


def test_a_credential_process_that_closes_its_output_and_goes_on_can_be_cancelled(versitygw, tool):
    write_files(tool, "[default]\ncredential_process = echo {}; exec >&-; exec sleep 1000\n")
    answer = tool(versitygw, keys=False)("cancel", 500, "get", "key")
    assert answer["error"] == "CancelledError" and answer["ms"] < 10_000, answer


def test_a_credential_process_may_leave_a_daemon_behind(versitygw, put, tool):
    put("key", b"open")
    document = json.dumps({"AccessKeyId": "testkey", "SecretAccessKey": SECRET_KEY}).replace('"', '\\"')
    write_files(tool, f'[default]\ncredential_process = sleep 60 >/dev/null & echo "{document}"\n')
    answer = tool(versitygw, root=put.root, keys=False)("get", "key")
    assert answer.get("text") == "open" and answer["ms"] < 20_000, answer


def test_requests_to_a_bucket_whose_requester_pays_say_so_and_are_signed_with_it(proxy, put, tool, tmp_path):
    put("key", b"x")
    ours = tool(proxy, root=put.root, requester_pays=True)
    (tmp_path / "file").write_bytes(b"y")
    assert ours("get", "key")["found"] and ours("put", "other", tmp_path / "file")["ok"] and ours("list", "")["ok"]
    assert len(proxy.seen) == 3
    for seen in proxy.seen:
        assert seen.headers["x-amz-request-payer"] == "requester"
        assert "x-amz-request-payer" in seen.headers["authorization"]
    assert tool(proxy, anonymous=True, requester_pays=True)("get", "key")["error"]
    assert proxy.seen[-1].headers["x-amz-request-payer"] == "requester"


def test_no_secret_of_a_root_is_repeated():
    for root in ("s3://AKIAIOSFODNN7EXAMPLE:geheim@bucket/x", "https://user:geheim@host/x?X-Amz-Signature=geheim"):
        done = subprocess.run([cli_path(), "info", root], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "geheim" not in done.stderr and "AKIA" not in done.stderr, done.stderr
