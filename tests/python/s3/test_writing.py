"""Writing objects: conditions, answers that get lost, uploads in parts, removal."""

import hashlib
import os
import random

import pytest

MIB = 1 << 20


@pytest.fixture
def file(tmp_path):
    def make(name, body):
        (tmp_path / name).write_bytes(body)
        return tmp_path / name

    return make


def uploads(server):
    return [upload["Key"] for upload in server.client().list_multipart_uploads(Bucket="bucket").get("Uploads", [])]


def test_an_object_is_replaced_only_while_it_is_the_one_that_was_read(store, tool, file):
    ours = tool(store, root="s3://bucket/match")
    assert not ours("put", "key", file("x", b"x"), "match", '"0123456789abcdef0123456789abcdef"')["stored"]
    assert ours("put", "key", file("one", b"one"))["stored"]
    read = ours("get", "key")
    assert read["text"] == "one" and read["etag"] == ours("head", "key")["etag"] != ""
    assert ours("put", "key", file("two", b"two"), "match", read["etag"])["stored"]
    assert not ours("put", "key", file("three", b"three"), "match", read["etag"])["stored"]
    assert ours("get", "key")["text"] == "two"


@pytest.mark.parametrize("condition", [["absent"], ["match"]], ids=str)
def test_a_put_whose_answer_was_lost_is_known_for_ours(proxy, put, tool, file, condition):
    ours = tool(proxy, root=put.root)
    if condition == ["match"]:
        put("key", b"before")
        condition = ["match", ours("get", "key")["etag"]]
    proxy.add(method="PUT", lose_answer=True)
    assert ours("put", "key", file("ours", b"ours"), *condition)["stored"]
    assert [seen.status for seen in proxy.seen if seen.method == "PUT"] == [200, 412]
    assert ours("get", "key")["text"] == "ours"
    proxy.add(method="PUT", lose_answer=True)
    assert ours("put", "empty", file("empty", b""), "absent")["stored"]


def test_a_lost_answer_does_not_make_anothers_object_ours(proxy, put, tool, file):
    ours = tool(proxy, root=put.root)
    for theirs in (b"thrs", b"longer than ours"):
        put("key", theirs)
        proxy.add(method="PUT", lose_answer=True)
        answer = ours("put", "key", file("ours", b"ours"), "absent")
        assert answer["ok"] and not answer["stored"]
        assert ours("get", "key")["text"] == theirs.decode()


def test_a_refusal_that_was_heard_is_final_even_for_the_same_bytes(proxy, put, tool, file):
    put("key", b"same")
    assert not tool(proxy, root=put.root)("put", "key", file("same", b"same"), "absent")["stored"]
    assert [seen.method for seen in proxy.seen] == ["PUT"]


@pytest.mark.parametrize("size", [0, 1, 16 * MIB, 16 * MIB + 1, 33 * MIB])
def test_a_file_is_uploaded_in_one_or_in_parts(store, tool, file, size):
    body = random.Random(size).randbytes(size)
    ours = tool(store, root="s3://bucket/upload")
    assert ours("upload", f"a=b:c +%/{size}", file("body", body))["ok"]
    there = store.client().get_object(Bucket="bucket", Key=f"upload/a=b:c +%/{size}")["Body"].read()
    assert hashlib.sha256(there).digest() == hashlib.sha256(body).digest()
    assert not uploads(store)


def test_uploads_overcome_passing_faults(proxy, put, tool, file, versitygw):
    body = random.Random(7).randbytes(40 * MIB)
    proxy.add(method="POST", status=503, code="SlowDown", times=2)
    proxy.add(method="PUT", refuse=True, times=2)
    proxy.add(method="PUT", lose_answer=True)
    proxy.add(method="PUT", status=500, code="InternalError")
    assert tool(proxy, root=put.root)("upload", "key", file("body", body))["ok"]
    assert versitygw.client().get_object(Bucket="bucket", Key=f"{put.prefix}/key")["Body"].read() == body
    assert not uploads(versitygw)


def test_a_completion_whose_answer_was_lost_is_known_by_the_objects_etag(proxy, put, tool, file, versitygw):
    body = random.Random(8).randbytes(20 * MIB)
    proxy.add(method="POST", contains="uploadId", lose_answer=True)
    assert tool(proxy, root=put.root)("upload", "key", file("body", body))["ok"]
    assert versitygw.client().get_object(Bucket="bucket", Key=f"{put.prefix}/key")["Body"].read() == body


def test_a_completion_that_fails_with_status_200_is_a_failure(proxy, put, tool, file, versitygw):
    proxy.add(method="POST", contains="uploadId", status=200, code="InternalError")
    proxy.add(method="POST", contains="uploadId", status=200, code="AccessDenied")
    answer = tool(proxy, root=put.root)("upload", "key", file("body", bytes(20 * MIB)))
    assert "AccessDenied" in answer["message"]
    assert not uploads(versitygw)


@pytest.mark.parametrize("what", ["refused", "cancelled"])
def test_an_upload_that_fails_is_aborted(proxy, put, tool, file, versitygw, what):
    # One part at a time, and it is the last: one that the store has in hand when the upload is aborted may outlive it.
    ours = tool(proxy, root=put.root, max_connections=1)
    body = file("body", bytes(50 * MIB))
    if what == "refused":
        proxy.add(method="PUT", contains="partNumber=4", status=403, code="AccessDenied")
        assert "AccessDenied" in ours("upload", "key", body)["message"]
    else:
        proxy.add(method="PUT", contains="partNumber=4", delay=30)
        answer = ours("cancel", 2000, "upload", "key", body)
        assert answer["error"] == "CancelledError" and answer["ms"] < 15_000
    assert [seen.status for seen in proxy.seen if seen.method == "DELETE"] == [204]
    assert not uploads(versitygw)
    assert not ours("head", "key")["found"]


def test_an_upload_takes_a_bounded_amount_of_memory(versitygw, put, tool, tmp_path):
    with open(tmp_path / "body", "wb") as body:
        body.truncate(300 * MIB)
    ours = tool(versitygw, root=put.root)
    assert ours("upload", "key", tmp_path / "body")["ok"]
    status = open(f"/proc/{ours.process.pid}/status").read()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    assert ours("head", "key")["size"] == 300 * MIB
    # The sanitizers keep what was freed for a while.
    if "ASAN_OPTIONS" not in os.environ:
        assert peak < 100 * 1024


def test_objects_are_removed_and_may_be_missing(store, tool, file):
    ours = tool(store, root="s3://bucket/removal")
    for key in ("a=1/b:c", "a=1/d e", "a=1/f/g+%", "a=2/h"):
        assert ours("put", key, file("body", b"x"))["stored"]
    assert ours("remove", "a=1/b:c")["ok"] and ours("remove", "a=1/b:c")["ok"] and ours("remove", "none/at all")["ok"]
    assert ours("list", "a=1/")["keys"] == ["d e", "f/"]
    assert ours("remove_all", "a=1/")["ok"]
    assert ours("list", "")["keys"] == ["a=2/"]
    assert not ours("remove_all", "a=2")["ok"]
    assert ours("remove_all", "nothing/")["ok"]


def test_removal_goes_on_over_pages_and_finds_the_objects_of_folders(moto, tool):
    client = moto.client()
    keys = [f"pages/many/{i:04}" for i in range(1100)] + ["pages/many/", "pages/many/sub/"]
    for key in keys:
        client.put_object(Bucket="bucket", Key=key, Body=b"")
    assert tool(moto, root="s3://bucket/pages")("remove_all", "many/")["ok"]
    assert client.list_objects_v2(Bucket="bucket", Prefix="pages/")["KeyCount"] == 0
