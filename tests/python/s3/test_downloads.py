"""Objects that become local files."""

import fcntl
import hashlib
import json
import os
import random
import signal
import time

import pytest

SIZE = 45 << 20
PART = 8 << 20


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def big(versitygw):
    """An object of six parts, and its digest."""
    body = random.Random(7).randbytes(SIZE)
    versitygw.client().put_object(Bucket="bucket", Key="prefix/big", Body=body, ChecksumAlgorithm="CRC32")
    return hashlib.sha256(body).hexdigest()


def first_byte(seen):
    return int(seen.headers["range"].split("=")[1].split("-")[0])


def test_a_large_object_comes_in_parts_side_by_side(big, proxy, tool, tmp_path):
    proxy.add(times=100, method="GET", delay=2)
    answer = tool(proxy)("download", "big", tmp_path / "deep" / "folder" / "copy")
    assert answer["found"] and digest(tmp_path / "deep" / "folder" / "copy") == big
    gets = sorted((seen for seen in proxy.seen if seen.method == "GET"), key=first_byte)
    assert [first_byte(seen) for seen in gets] == list(range(0, SIZE, PART))
    # The first part is asked for together with the object's version, and so can't name it. All others are asked for before
    # any of them can have been answered.
    assert all("if-match" in seen.headers for seen in gets[1:])
    assert max(seen.at for seen in gets[1:]) - min(seen.at for seen in gets[1:]) < 2


@pytest.mark.parametrize(
    "fault",
    [{"status": 503, "code": "SlowDown"}, {"refuse": True}, {"reset_after": 3_000_000}, {"cut_after": 5_000_001}, {"stall_after": 1_000_000}],
    ids=str,
)
def test_parts_overcome_faults(big, proxy, tool, tmp_path, fault):
    proxy.add(times=8, method="GET", **fault)
    assert tool(proxy, read_timeout=1)("download", "big", tmp_path / "copy")["found"]
    assert digest(tmp_path / "copy") == big


def test_a_corrupted_part_is_noticed_and_fetched_again(big, proxy, tool, tmp_path):
    proxy.add(times=1, method="GET", corrupt_at=1_000_000)
    assert tool(proxy)("download", "big", tmp_path / "copy")["found"]
    assert digest(tmp_path / "copy") == big


def test_lasting_corruption_is_an_error_and_leaves_no_file(big, proxy, tool, tmp_path):
    proxy.add(times=1000, method="GET", corrupt_at=1_000_000)
    assert tool(proxy)("download", "big", tmp_path / "copy")["error"] == "S3TransientError"
    assert not (tmp_path / "copy").exists()
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_an_object_that_is_replaced_meanwhile_comes_whole(versitygw, proxy, tool, tmp_path):
    old, new = (random.Random(i).randbytes(20 << 20) for i in (1, 2))
    client = versitygw.client()
    client.put_object(Bucket="bucket", Key="prefix/replaced", Body=old)
    take = proxy.take

    def replace(seen):
        if seen.method == "GET" and len([s for s in proxy.seen if s.method == "GET"]) == 1:
            client.put_object(Bucket="bucket", Key="prefix/replaced", Body=new)
        return take(seen)

    proxy.take = replace
    assert tool(proxy)("download", "replaced", tmp_path / "copy")["found"]
    assert (tmp_path / "copy").read_bytes() == new


def test_an_etag_that_never_settles_is_an_error(big, proxy, tool, tmp_path):
    for i in range(200):
        proxy.add(method="GET", etag=f'"{i}"')
    answer = tool(proxy)("download", "big", tmp_path / "copy")
    assert answer["error"] == "S3TransientError" and "replaced" in answer["message"]


def test_a_store_without_etags_is_read_in_one_piece(big, proxy, tool, tmp_path):
    proxy.add(times=100, drop_headers=("etag",))
    assert tool(proxy)("download", "big", tmp_path / "copy")["found"]
    assert digest(tmp_path / "copy") == big


def test_a_copy_that_holds_is_used_again_without_a_request(big, proxy, tool, tmp_path):
    assert tool(proxy)("download", "big", tmp_path / "copy")["found"]
    before = len(proxy.seen)
    assert tool(proxy)("download", "big", tmp_path / "copy")["found"]
    assert len(proxy.seen) == before


@pytest.mark.parametrize("harm", ["flip", "truncate", "extend", "no record", "broken record", "gone"])
def test_a_copy_that_was_harmed_is_fetched_again(big, versitygw, tool, tmp_path, harm):
    copy = tmp_path / "copy"
    record = tmp_path / "copy.record"
    assert tool(versitygw)("download", "big", copy)["found"]
    if harm == "flip":
        with copy.open("r+b") as file:
            file.seek(SIZE - 1)
            last = file.read(1)
            file.seek(SIZE - 1)
            file.write(bytes([last[0] ^ 1]))
    elif harm == "truncate":
        os.truncate(copy, SIZE - 1)
    elif harm == "extend":
        os.truncate(copy, SIZE + 1)
    elif harm == "no record":
        record.unlink()
    elif harm == "broken record":
        record.write_bytes(record.read_bytes()[:-3])
    else:
        copy.unlink()
    assert tool(versitygw)("download", "big", copy)["found"]
    assert digest(copy) == big


def test_a_copy_of_another_object_is_replaced(big, versitygw, tool, tmp_path):
    versitygw.client().put_object(Bucket="bucket", Key="prefix/other", Body=b"other")
    ours = tool(versitygw)
    assert ours("download", "big", tmp_path / "copy")["found"]
    assert ours("download", "other", tmp_path / "copy")["found"]
    assert (tmp_path / "copy").read_bytes() == b"other"


def test_several_processes_fetch_an_object_once(big, proxy, tool, tmp_path):
    tools = [tool(proxy) for _ in range(5)]
    for ours in tools:
        ours.send("download", "big", tmp_path / "copy")
    assert all(ours.receive()["found"] for ours in tools)
    assert len([seen for seen in proxy.seen if seen.method == "HEAD"]) == 1
    assert digest(tmp_path / "copy") == big


@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_killed_process_leaves_what_the_next_can_use(big, proxy, tool, tmp_path, after):
    proxy.add(times=100, method="GET", delay=0.02)
    killed = tool(proxy)
    killed.send("download", "big", tmp_path / "copy")
    time.sleep(after)
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait()
    if (tmp_path / "copy").exists():
        assert digest(tmp_path / "copy") == big
    assert tool(proxy)("download", "big", tmp_path / "copy")["found"]
    assert digest(tmp_path / "copy") == big
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["copy", "copy.lock", "copy.record"]


def test_waiting_for_another_process_can_be_cancelled(big, versitygw, tool, tmp_path):
    with (tmp_path / "copy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = tool(versitygw)("cancel", 200, "download", "big", tmp_path / "copy")
    assert answer["error"] == "CancelledError"


def test_a_cancelled_download_stops_and_leaves_nothing(big, proxy, tool, tmp_path):
    proxy.add(times=100, method="GET", stall_after=100_000)
    ours = tool(proxy)
    answer = ours("cancel", 300, "download", "big", tmp_path / "copy")
    assert answer["error"] == "CancelledError" and answer["ms"] < 10_000
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["copy.lock"]


def test_a_large_range_comes_in_parts(big, proxy, tool):
    offset, length = 3_000_001, 30_000_000
    answer = tool(proxy)("range", "big", offset, length)
    body = random.Random(7).randbytes(SIZE)[offset : offset + length]
    assert answer["sha256"] == hashlib.sha256(body).hexdigest()
    assert len([seen for seen in proxy.seen if seen.method == "GET"]) == 4


@pytest.mark.skipif("SF_SANITIZER" in os.environ, reason="sanitizers use memory of their own")
def test_memory_stays_bounded_however_large_the_object(versitygw, tool, tmp_path):
    folder = versitygw.root / "bucket" / "prefix"
    folder.mkdir(exist_ok=True)
    with (folder / "huge").open("wb") as file:
        file.truncate(1536 << 20)
    ours = tool(versitygw)
    assert ours("download", "huge", tmp_path / "copy")["found"]
    status = open(f"/proc/{ours.process.pid}/status").read()
    peak_kib = int(status.split("VmHWM:")[1].split()[0])
    assert peak_kib < 64 << 10
    assert (tmp_path / "copy").stat().st_size == 1536 << 20
    (tmp_path / "copy").unlink()
    (folder / "huge").unlink()


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(big, versitygw, tool):
    answer = tool(versitygw)("download", "big", "/proc/none/copy")
    assert answer["error"] == "ShardyfusionError" and "/proc/none" in answer["message"]


def test_a_record_names_the_object(big, versitygw, tool, tmp_path):
    tool(versitygw)("download", "big", tmp_path / "copy")
    record = json.loads((tmp_path / "copy.record").read_text())
    assert record["url"] == "s3://bucket/prefix/big" and record["size"] == SIZE
