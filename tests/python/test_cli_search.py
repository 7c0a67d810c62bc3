"""How searches are asked and answered: query files, standard input, output."""

import json
import os
import pathlib
import re
import signal
import subprocess

import numpy as np
import pytest
import snapshot_builder as builder
from conftest import assert_exact


@pytest.fixture(scope="module")
def saved(tmp_path_factory, queries):
    path = tmp_path_factory.mktemp("queries") / "queries.npy"
    np.save(path, queries)
    return path


def expected_ids(snapshot, query, **asked):
    return [identifier for identifier, _, _ in snapshot.search(query, **asked)]


def ids(line):
    return [result["id"] for result in line["results"]]


@pytest.mark.concurrent
def test_a_query_file_gives_a_line_a_row_in_order(cli, shared_snapshot, tmp_path):
    many = np.random.default_rng(3).normal(size=(300, shared_snapshot.dim)).astype(np.float32)
    np.save(tmp_path / "many.npy", many)
    lines = cli.lines("search", shared_snapshot.root, "--query-file", tmp_path / "many.npy", "--top-k", 5)
    assert [line["query"] for line in lines] == list(range(300))
    for line, query in zip(lines, many):
        assert_exact(line, shared_snapshot.search(query, 5))


def test_row_takes_one_row_of_the_file(cli, shared_snapshot, saved, queries):
    line = cli.one("search", shared_snapshot.root, "--query-file", saved, "--row", 3)
    assert line["query"] == 3
    assert_exact(line, shared_snapshot.search(queries[3]))


@pytest.mark.parametrize("dtype", ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "i1", "<i2", ">i4", "<i8", "u1", ">u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_query_files_of_all_types_and_orders_are_read(cli, shared_snapshot, tmp_path, queries, dtype, order):
    exact = np.abs(queries) * 5 if np.dtype(dtype).kind == "u" else queries * 5
    array = np.array(exact, dtype=dtype, order=order)
    np.save(tmp_path / "q.npy", array)
    lines = cli.lines("search", shared_snapshot.root, "--query-file", tmp_path / "q.npy")
    for line, query in zip(lines, array, strict=True):
        assert_exact(line, shared_snapshot.search(query.astype(np.float32)))


def test_a_file_of_one_dimension_is_one_query(cli, shared_snapshot, tmp_path, queries):
    np.save(tmp_path / "q.npy", queries[2])
    line = cli.one("search", shared_snapshot.root, "--query-file", tmp_path / "q.npy")
    assert line["query"] == 0
    assert_exact(line, shared_snapshot.search(queries[2]))


def test_a_file_without_rows_gives_no_lines(cli, shared_snapshot, tmp_path):
    np.save(tmp_path / "q.npy", np.zeros((0, shared_snapshot.dim), np.float32))
    assert cli.lines("search", shared_snapshot.root, "--query-file", tmp_path / "q.npy") == []


def test_a_line_has_the_promised_fields(cli, shared_snapshot, query_text):
    line = cli.one("search", shared_snapshot.root, "--query", query_text)
    assert list(line) == ["query", "results", "num_shards_queried", "latency_ms"]
    assert line["num_shards_queried"] == 2
    assert line["latency_ms"] >= 0
    assert all(list(result) == ["id", "score", "payload"] for result in line["results"])


def test_ten_neighbours_are_the_default(cli, shared_snapshot, query_text):
    assert len(cli.one("search", shared_snapshot.root, "--query", query_text)["results"]) == 10


def test_values_may_stand_behind_an_equals_sign(cli, shared_snapshot, query_text):
    line = cli.one("search", f"--query={query_text}", "--top-k=3", shared_snapshot.root)
    assert len(line["results"]) == 3


# ------------------------------------------------------------------------------------------------------- Standard input


def test_standard_input_gives_a_line_a_query(cli, shared_snapshot, queries):
    text = "\n".join(json.dumps([float(x) for x in query]) for query in queries) + "\n\n"
    lines = cli.lines("search", shared_snapshot.root, "--query", "-", input=text)
    assert [line["query"] for line in lines] == list(range(len(queries)))
    for line, query in zip(lines, queries):
        assert_exact(line, shared_snapshot.search(query))


def test_the_last_line_needs_no_newline(cli, shared_snapshot, query_text):
    assert len(cli.lines("search", shared_snapshot.root, "--query", "-", input=f"\n{query_text}")) == 1


def test_empty_standard_input_gives_no_lines(cli, shared_snapshot):
    assert cli.lines("search", shared_snapshot.root, "--query", "-", input="") == []


@pytest.mark.concurrent
def test_many_lines_are_answered_in_order(cli, shared_snapshot):
    many = np.random.default_rng(4).normal(size=(500, shared_snapshot.dim)).astype(np.float32)
    text = "".join(json.dumps([float(x) for x in query]) + "\n" for query in many)
    lines = cli.lines("search", shared_snapshot.root, "--query", "-", "--top-k", 1, input=text)
    assert [ids(line) for line in lines] == [expected_ids(shared_snapshot, query, top_k=1) for query in many]


def test_answers_come_before_more_is_asked(cli, shared_snapshot, query_text):
    command = [cli.path, "search", shared_snapshot.root, "--query", "-", "--cache-dir", cli.cache_dir]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for number in range(3):
            process.stdin.write(query_text + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["query"] == number
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_bad_line_ends_the_run_after_the_answers_before_it(cli, shared_snapshot, query_text):
    text = f"{query_text}\n{query_text}\n[1, 2,\n{query_text}\n"
    done = cli.run("search", shared_snapshot.root, "--query", "-", input=text)
    assert done.returncode == 2
    assert len(done.stdout.splitlines()) == 2
    assert "line 3" in done.stderr


def test_a_query_of_the_wrong_dimension_ends_the_run_after_the_answers_before_it(cli, shared_snapshot, query_text):
    done = cli.run("search", shared_snapshot.root, "--query", "-", input=f"{query_text}\n[1, 2]\n{query_text}\n")
    assert done.returncode == 1
    assert [json.loads(line)["query"] for line in done.stdout.splitlines()] == [0]
    assert done.stderr.startswith("shardyfusion: ConfigValidationError: ")


# --------------------------------------------------------------------------------------------------------------- Output


def test_a_table_shows_what_the_lines_say(cli, shared_snapshot, query_text):
    line = cli.one("search", shared_snapshot.root, "--query", query_text)
    table = cli.run("search", shared_snapshot.root, "--query", query_text, "--format", "table").stdout.splitlines()
    assert table[0].startswith("query 0: 10 results from 2 shards in ")
    assert table[1].split() == ["id", "score", "payload"]
    assert [row.split()[0] for row in table[2:]] == [str(result["id"]) for result in line["results"]]


def test_a_table_escapes_what_could_rule_the_terminal(cli, tmp_path):
    shard = builder.Shard(["\x1b[31mred\r\n\x07\u009b2J"], np.ones((1, 4)), [{"text": "\x1b[0m"}])
    snapshot = builder.publish(tmp_path / "snapshot", [shard])
    done = cli.run("search", snapshot.root, "--query", "[1,1,1,1]", "--shard-ids", "0", "--format", "table")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in done.stdout.replace("\n", ""))


def test_a_payload_with_newlines_takes_one_line(cli, tmp_path):
    stored = '{\n  "text": "a \\"quoted\\" : b \\\\",\r\n\t"list": [ 1 , 2 ]\n}\n'
    snapshot = builder.publish(tmp_path / "snapshot", [builder.Shard([1], np.ones((1, 4)), [stored])])
    done = cli.run("search", snapshot.root, "--query", "[1,1,1,1]", "--shard-ids", "0")
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["results"][0]["payload"] == json.loads(stored)
    assert '{"text":"a \\"quoted\\" : b \\\\","list":[1,2]}' in done.stdout


NOT_JSON = ["", "[1]", "7", "{", "{} {}", "{'a': 1}", '{"a": "\x01"}', "nope", '{"a": 1,}', '{"a": 1.}', '{"a": 01}', '{"a": nan}']


@pytest.mark.parametrize("stored", NOT_JSON)
def test_a_payload_that_is_not_json_is_null_with_a_warning(cli, tmp_path, stored):
    """It is no reason to withhold the others; verify finds it."""
    vectors = np.array([[1, 1, 1, 1], [2, 2, 2, 2]])
    shard = builder.Shard(["the-id", "other"], vectors, [stored, '{"a": 1}'])
    snapshot = builder.publish(tmp_path / "snapshot", [shard])
    done = cli.run("search", snapshot.root, "--query", "[1,1,1,1]", "--shard-ids", "0")
    payloads = {result["id"]: result["payload"] for result in json.loads(done.stdout)["results"]}
    assert (done.returncode, payloads) == (0, {"the-id": None, "other": {"a": 1}})
    assert done.stderr.startswith("shardyfusion: warning: shard 0: the payload of id the-id: payload: expected ")
    verified = cli.run("verify", snapshot.root)
    assert verified.returncode == 1 and "row 0: payload: expected " in verified.stdout


def test_numbers_that_python_writes_and_json_lacks_are_null(cli, tmp_path):
    """As in snapshots that were written by json.dumps; they aren't JSON all the same, which verify says."""
    stored = json.dumps({"a": float("nan"), "b": [float("inf"), -float("inf"), "NaN"], "c": 2**70})
    snapshot = builder.publish(tmp_path / "snapshot", [builder.Shard(["the-id"], np.ones((1, 4)), [stored])])
    done = cli.run("search", snapshot.root, "--query", "[1,1,1,1]", "--shard-ids", "0")
    payload = json.loads(done.stdout, parse_constant=pytest.fail)["results"][0]["payload"]
    assert payload == {"a": None, "b": [None, None, "NaN"], "c": 2**70}
    assert (done.returncode, done.stderr) == (0, "")
    assert cli.run("verify", snapshot.root).returncode == 1


@pytest.mark.parametrize(
    "stored", ['{"a":1e400,"b":1.50E+2,"c":-0,"d":123456789012345678901234567890}', '{"a\\u0000b":"\\ud800"}']
)
def test_what_json_allows_comes_back_as_it_was_stored(cli, tmp_path, stored):
    snapshot = builder.publish(tmp_path / "snapshot", [builder.Shard(["the-id"], np.ones((1, 4)), [stored])])
    done = cli.run("search", snapshot.root, "--query", "[1,1,1,1]", "--shard-ids", "0")
    assert (done.returncode, done.stderr) == (0, "")
    assert f'"payload": {stored}' in done.stdout
    assert cli.run("verify", snapshot.root).returncode == 0


def test_scores_have_the_fewest_digits_that_read_back(cli, shared_snapshot, query_text):
    done = cli.run("search", shared_snapshot.root, "--query", query_text)
    for result in json.loads(done.stdout, parse_float=str)["results"]:
        digits = result["score"].replace(".", "").lstrip("0").split("e")[0]
        fewest = repr(float(result["score"])).replace(".", "").lstrip("0").split("e")[0]
        assert len(digits) <= len(fewest)


# ------------------------------------------------------------------------------------------------ Failures of the means


def test_a_full_disk_fails(cli, shared_snapshot, query_text):
    with open("/dev/full", "w") as full:
        for arguments in (
            ["search", shared_snapshot.root, "--query", query_text],
            ["info", shared_snapshot.root],
            ["--help"],
        ):
            done = subprocess.run(
                [cli.path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
            )
            assert done.returncode == 1
            assert "standard output" in done.stderr


def test_a_closed_standard_output_fails(cli, shared_snapshot, query_text):
    for arguments in (["search", str(shared_snapshot.root), "--query", query_text], ["--version"]):
        done = subprocess.run(
            ["sh", "-c", 'exec "$0" "$@" >&-', cli.path, *arguments],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        assert done.returncode == 1
        assert "standard output" in done.stderr


def test_queries_come_from_standard_input(cli, shared_snapshot, saved):
    lines = cli.lines("search", shared_snapshot.root, "--query-file", saved)
    with open(saved, "rb") as file:
        piped = cli.lines("search", shared_snapshot.root, "--query-file", "-", stdin=file)
    assert [line["results"] for line in piped] == [line["results"] for line in lines]


def test_standard_input_that_is_no_array_is_named(cli, shared_snapshot):
    cli.fails("ConfigValidationError", "search", shared_snapshot.root, "--query-file", "-", input="[1, 2]", names=["standard input"])


@pytest.mark.concurrent
def test_a_signal_ends_the_wait_for_an_array(cli, shared_snapshot):
    command = [cli.path, "search", shared_snapshot.root, "--query-file", "-", "--cache-dir", cli.cache_dir]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not signals_are_caught(process.pid):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 128 + signal.SIGINT
        assert process.stderr.read() == "shardyfusion: CancelledError: interrupted\n"


def signals_are_caught(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    caught = int(re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)[1], 16)
    return caught >> (signal.SIGINT - 1) & 1 and caught >> (signal.SIGTERM - 1) & 1


def test_a_pipe_that_nobody_reads_fails(cli, shared_snapshot, saved):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [cli.path, "search", shared_snapshot.root, "--query-file", saved],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""


def test_a_cache_that_cannot_be_written_fails_and_names_it(cli, shared_snapshot, query_text, tmp_path):
    (tmp_path / "file").write_text("in the way")
    message = cli.fails(
        "ShardyfusionError", "search", shared_snapshot.root, "--query", query_text,
        "--cache-dir", tmp_path / "file" / "cache", cache=False,
    )  # fmt: skip
    assert str(tmp_path / "file") in message


@pytest.mark.concurrent
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_search_that_waits_for_input(cli, shared_snapshot, query_text, number):
    command = [cli.path, "search", shared_snapshot.root, "--query", "-", "--cache-dir", cli.cache_dir]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdin.write(query_text + "\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["query"] == 0
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert output == ""
    assert "interrupted" in errors


@pytest.mark.concurrent
def test_a_signal_amid_searches_leaves_whole_lines(cli, shared_snapshot, tmp_path):
    many = np.random.default_rng(3).normal(size=(20_000, shared_snapshot.dim)).astype(np.float32)
    np.save(tmp_path / "many.npy", many)
    command = [
        cli.path,
        "search",
        shared_snapshot.root,
        "--query-file",
        tmp_path / "many.npy",
        "--cache-dir",
        cli.cache_dir,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        lines = [process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        lines += process.stdout.readlines()
    assert process.returncode == 130
    assert len(lines) < 20_000
    assert all(json.loads(line)["results"] for line in lines)


# ---------------------------------------------------------------------------------------------------------------- Cache


def cached_files(cache_dir):
    return sorted(path for path in cache_dir.rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["truncate", "garble", "empty", "remove", "folder"])
def test_a_damaged_cache_heals(cli, shared_snapshot, queries, damage):
    def answers():
        return [cli.search(shared_snapshot.root, query, "--num-probes", 4)["results"] for query in queries[:2]]

    expected = answers()
    rng = np.random.default_rng(5)
    for path in cached_files(cli.cache_dir):
        if damage == "truncate":
            os.truncate(path, path.stat().st_size // 2)
        elif damage == "garble":
            path.write_bytes(rng.bytes(path.stat().st_size))
        elif damage == "empty":
            path.write_bytes(b"")
        elif damage == "remove":
            path.unlink()
        elif path.suffix != ".lock":
            path.unlink()
            path.mkdir()
    assert answers() == expected


@pytest.mark.concurrent
def test_several_processes_share_a_cache(cli, shared_snapshot, query_text):
    command = [
        cli.path,
        "search",
        shared_snapshot.root,
        "--query",
        query_text,
        "--num-probes",
        "4",
        "--cache-dir",
        cli.cache_dir,
    ]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    outputs = [json.loads(process.communicate(timeout=60)[0])["results"] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert all(output == outputs[0] for output in outputs)


def test_a_new_snapshot_below_the_same_root_is_not_answered_from_the_cache(cli, tmp_path):
    first = builder.publish(tmp_path / "s", [builder.Shard([1], np.ones((1, 4)))])
    assert ids(cli.search(first.root, [1, 1, 1, 1], "--shard-ids", "0")) == [1]
    builder.publish(tmp_path / "s", [builder.Shard([2], np.ones((1, 4)))], timestamp="2026-01-02T04:00:00.000000Z")
    assert ids(cli.search(first.root, [1, 1, 1, 1], "--shard-ids", "0")) == [2]
