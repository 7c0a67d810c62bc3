"""What two stores, of different makers, give and take."""

import hashlib

import pytest
from servers import start_versitygw

KEYS = [
    "plain",
    "a=b/c:d/run_id=2026-11-22T13:38:23.800136Z",
    "one + two",
    "100%",
    "%41 is not A",
    "tilde~star*quote'bracket(bang!)",
    "at@and&dollar$semi;comma,",
    "question?hash#",
    "ümläut/日本語/💡",
    "trailing.dot.",
]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_any_characters_comes_back_as_it_was_put(store, tool, tmp_path, key):
    body = hashlib.sha256(key.encode()).hexdigest().encode() * 100
    (tmp_path / "body").write_bytes(body)
    ours = tool(store, root="s3://bucket/keys=1:2 +%")
    assert ours("put", key, tmp_path / "body")["stored"]
    assert store.client().get_object(Bucket="bucket", Key=f"keys=1:2 +%/{key}")["Body"].read() == body
    got = ours("get", key)
    assert (got["found"], got["sha256"]) == (True, hashlib.sha256(body).hexdigest())
    assert ours("head", key)["size"] == len(body)
    part = ours("range", key, 7, 100)
    assert part["sha256"] == hashlib.sha256(body[7:107]).hexdigest()


def test_a_listing_shows_what_lies_directly_below_in_order(store, tool):
    client = store.client()
    names = ["b", "a=1:2 +%ü", "folder/x", "folder/y", "z/deep/er", "a b"]
    for name in names:
        client.put_object(Bucket="bucket", Key=f"list/{name}", Body=b"x")
    ours = tool(store, root="s3://bucket/list")
    assert ours("list", "")["keys"] == sorted({n.split("/")[0] + ("/" if "/" in n else "") for n in names}, key=str.encode)
    assert ours("list", "folder/")["keys"] == ["x", "y"]
    assert ours("list", "nothing/")["keys"] == []


def test_a_listing_goes_over_any_number_of_pages(versitygw, tool):
    folder = versitygw.root / "bucket" / "pages"
    folder.mkdir()
    names = [f"run_id={i:05d}:x" for i in range(2345)]
    for name in names:
        (folder / name).touch()
    (folder / "run_id=00007y").mkdir()
    (folder / "run_id=00007y" / "manifest").touch()
    ours = tool(versitygw, root="s3://bucket/pages")
    assert ours("list", "")["keys"] == sorted([*names, "run_id=00007y/"])


def test_requests_and_the_bytes_that_they_bring_are_counted(store, tool, tmp_path):
    store.client().put_object(Bucket="bucket", Key="counted/object", Body=bytes(300_000))
    ours = tool(store, root="s3://bucket/counted")
    assert ours("traffic")["requests"] == 0
    ours("range", "object", 7, 100)
    first = ours("traffic")
    assert first["known"] and first["bytes"] >= 100
    assert first["requests"] >= 1  # a slow one is sent again
    ours("get", "object")
    assert ours("head", "missing")["found"] is False
    second = ours("traffic")
    assert second["requests"] >= first["requests"] + 2
    assert second["bytes"] >= 300_100


def test_what_is_not_there_is_not_found(store, tool, tmp_path):
    ours = tool(store)
    for command in (["get", "none"], ["head", "none"], ["range", "none", 0, 5], ["range", "none", 0, 0],
                    ["download", "none", tmp_path / "copy"]):
        answer = ours(*command)
        assert (answer["ok"], answer["found"]) == (True, False)
    assert not (tmp_path / "copy").exists()


def test_a_range_beyond_the_end_is_an_error(store, tool):
    store.client().put_object(Bucket="bucket", Key="prefix/short", Body=b"0123456789")
    ours = tool(store)
    assert ours("range", "short", 2, 8)["text"] == "23456789"
    for offset, length in ((2, 9), (10, 1), (50, 5), (0, 3 << 20)):
        answer = ours("range", "short", offset, length)
        assert answer["error"] == "ShardyfusionError" and "expected" in answer["message"]


def test_an_empty_object_is_found_and_empty(store, tool, tmp_path):
    store.client().put_object(Bucket="bucket", Key="prefix/empty", Body=b"")
    ours = tool(store)
    assert ours("get", "empty")["size"] == 0 and ours("head", "empty")["found"]
    assert ours("range", "empty", 0, 0)["found"]
    assert ours("download", "empty", tmp_path / "empty")["found"]
    assert (tmp_path / "empty").read_bytes() == b""


def test_a_conditional_put_stores_only_where_the_condition_holds(versitygw, tool, tmp_path):
    (tmp_path / "one").write_bytes(b"one")
    (tmp_path / "two").write_bytes(b"two")
    ours = tool(versitygw, root="s3://bucket/conditional")
    assert ours("put", "key", tmp_path / "one", "absent")["stored"]
    assert not ours("put", "key", tmp_path / "two", "absent")["stored"]
    etag = versitygw.client().head_object(Bucket="bucket", Key="conditional/key")["ETag"]
    assert not ours("put", "key", tmp_path / "two", "match", '"0123456789abcdef0123456789abcdef"')["stored"]
    assert ours("get", "key")["text"] == "one"
    assert ours("put", "key", tmp_path / "two", "match", etag)["stored"]
    assert ours("get", "key")["text"] == "two"


def test_a_no_is_reported_with_the_servers_words_and_not_repeated(proxy, tool):
    wrong = tool(proxy, environment={"AWS_SECRET_ACCESS_KEY": "wrong"})
    answer = wrong("get", "key")
    assert answer["error"] == "ShardyfusionError" and "SignatureDoesNotMatch" in answer["message"]
    assert "wrong" not in answer["message"]
    answer = tool(proxy, root="s3://no-such-bucket/x")("get", "key")
    assert answer["error"] == "ShardyfusionError" and "NoSuchBucket" in answer["message"]
    assert len(proxy.seen) == 2


def test_anonymous_requests_carry_no_signature(proxy, tool):
    answer = tool(proxy, anonymous=True)("get", "key")
    assert "AccessDenied" in answer["message"]
    assert not any(name.startswith(("authorization", "x-amz-date")) for name in proxy.seen[0].headers)


def test_the_bucket_can_stand_in_the_host(versitygw_program, tool, tmp_path):
    server = start_versitygw(versitygw_program, tmp_path, "--virtual-domain", "localhost")
    try:
        server.client().put_object(Bucket="bucket", Key="prefix/a=b:c", Body=b"here")
        ours = tool(f"http://localhost:{server.port}", addressing_style="virtual")
        assert ours("get", "a=b:c")["text"] == "here"
        assert ours("list", "")["keys"] == ["a=b:c"]
        assert ours("head", "a=b:c")["size"] == 4
    finally:
        server.stop()


def test_connections_are_reused(proxy, put, tool):
    put("key", b"x")
    ours = tool(proxy, root=put.root)
    for _ in range(10):
        assert ours("get", "key")["found"]
    assert len({seen.connection for seen in proxy.seen}) == 1
