"""info, shards, health, route, history, verify; help; and how a command line can be wrong."""

import datetime
import json
import os
import pty
import re
import subprocess

import numpy as np
import pytest
import snapshot_builder as builder

COMMANDS = ["search", "info", "shards", "health", "route", "history", "verify"]


def test_info_prints_what_the_snapshot_is(cli, shared_snapshot):
    assert cli.one("info", shared_snapshot.root) == {
        "run_id": shared_snapshot.run_id,
        "num_dbs": 4,
        "dim": 16,
        "metric": "cosine",
        "sharding": "cluster",
        "manifest_ref": shared_snapshot.manifest_ref,
        "total_vectors": 200,
    }


def test_a_root_may_be_a_url(cli, shared_snapshot):
    assert cli.one("info", f"file://{shared_snapshot.root}") == cli.one("info", shared_snapshot.root)


def test_a_root_may_be_relative_and_end_in_a_slash(cli, shared_snapshot):
    root = shared_snapshot.root
    assert cli.one("info", f"{root.name}/", cwd=root.parent) == cli.one("info", root)


def test_shards_prints_one_for_each(cli, shared_snapshot):
    lines = cli.lines("shards", shared_snapshot.root)
    assert [line["db_id"] for line in lines] == [0, 1, 2, 3]
    assert [line["db_url"] for line in lines] == [shared_snapshot.shard_url(i) for i in range(4)]
    assert [line["vector_count"] for line in lines] == [len(shard.ids) for shard in shared_snapshot.shards]
    assert all(len(line["checkpoint_id"]) == 32 for line in lines)


def test_health_is_healthy_without_a_threshold(cli, shared_snapshot):
    line = cli.one("health", shared_snapshot.root)
    published = datetime.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
    age = (datetime.datetime.now(datetime.timezone.utc) - published).total_seconds()
    assert line["manifest_age_seconds"] == pytest.approx(age, abs=120)
    del line["manifest_age_seconds"]
    assert line == {
        "status": "healthy",
        "manifest_ref": shared_snapshot.manifest_ref,
        "num_shards": 4,
        "is_closed": False,
    }


def test_health_is_degraded_past_the_threshold(cli, shared_snapshot):
    assert cli.one("health", shared_snapshot.root, "--staleness-threshold", "0.5")["status"] == "degraded"
    assert cli.one("health", shared_snapshot.root, "--staleness-threshold", "1e12")["status"] == "healthy"


def test_route_prints_the_shards_in_order(cli, shared_snapshot, queries):
    for query in queries:
        text = json.dumps([float(x) for x in query])
        assert cli.one("route", shared_snapshot.root, "--query", text) == {
            "query": 0,
            "route": shared_snapshot.route(query),
        }


def test_route_reads_standard_input(cli, shared_snapshot, queries):
    text = "".join(json.dumps([float(x) for x in query]) + "\n" for query in queries)
    lines = cli.lines("route", shared_snapshot.root, "--query", "-", "--num-probes", 3, input=text)
    assert [line["route"] for line in lines] == [shared_snapshot.route(query, num_probes=3) for query in queries]


def three_runs(root):
    shard = builder.Shard([1], np.ones((1, 4)))
    times = [f"2026-01-0{day}T00:00:00.000000Z" for day in (1, 2, 3)]
    return [builder.publish(root, [shard], timestamp=time, run_id=f"run-{i}") for i, time in enumerate(times)], times


def test_history_prints_manifests_newest_first(cli, tmp_path):
    runs, times = three_runs(tmp_path / "s")
    lines = cli.lines("history", tmp_path / "s")
    assert [line["ref"] for line in lines] == [run.manifest_ref for run in reversed(runs)]
    assert [line["run_id"] for line in lines] == ["run-2", "run-1", "run-0"]
    assert [line["published_at"] for line in lines] == times[::-1]
    assert [line["is_live"] for line in lines] == [True, False, False]


def test_history_marks_an_older_manifest_that_is_live(cli, tmp_path):
    runs, times = three_runs(tmp_path / "s")
    builder.write_current(tmp_path / "s", runs[0].manifest_ref, "run-0", times[0])
    assert [line["is_live"] for line in cli.lines("history", tmp_path / "s")] == [False, False, True]


def test_history_is_limited(cli, tmp_path):
    three_runs(tmp_path / "s")
    assert [line["run_id"] for line in cli.lines("history", tmp_path / "s", "--limit", 2)] == ["run-2", "run-1"]


# --------------------------------------------------------------------------------------------------------------- Verify


def test_verify_prints_every_object(cli, shared_snapshot):
    done = cli.run("verify", shared_snapshot.root)
    assert done.returncode == 0
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    assert {finding["status"] for finding in findings} == {"ok"}
    objects = {finding["object"] for finding in findings}
    assert shared_snapshot.manifest_ref in objects
    assert shared_snapshot.vector["centroids_ref"] in objects
    assert objects >= {shared_snapshot.shard_url(i) for i in range(4)}
    assert len(findings) == 7
    assert "7 objects read, 0 invalid" in done.stderr


def test_verify_says_what_does_not_hold_and_goes_on(cli, snapshot):
    os.truncate(snapshot.shard_file(1), 5000)
    snapshot.shard_file(3).unlink()
    done = cli.run("verify", snapshot.root)
    assert done.returncode == 1
    findings = {finding["object"]: finding for finding in map(json.loads, done.stdout.splitlines())}
    bad = {key for key, finding in findings.items() if finding["status"] != "ok"}
    assert bad == {snapshot.shard_url(1), snapshot.shard_url(3)}
    assert {findings[key]["status"] for key in bad} == {"DbAdapterError"}
    assert "2 invalid" in done.stderr


def test_verify_reads_past_a_whole_cache(cli, snapshot, query_text):
    cli.one("search", snapshot.root, "--query", query_text, "--num-probes", 4)
    os.truncate(snapshot.shard_file(2), 5000)
    assert cli.run("verify", snapshot.root).returncode == 1


def test_verify_finds_a_broken_id_that_no_search_met(cli, snapshot):
    db = builder.sqlite3.connect(snapshot.shard_file(0))
    db.execute("UPDATE vec_id_map SET original_id = '{' WHERE internal_id = 3")
    db.commit()
    db.close()
    done = cli.run("verify", snapshot.root)
    assert done.returncode == 1
    assert [json.loads(line)["object"] for line in done.stdout.splitlines() if '"ok"' not in line] == [
        snapshot.shard_url(0)
    ]


def test_verify_of_nothing_fails(cli, tmp_path):
    done = cli.run("verify", tmp_path)
    assert done.returncode == 1


# ------------------------------------------------------------------------------------------------------------ Terminals


def run_in_terminal(command, columns=60):
    """What a command prints to a terminal of that width."""
    import fcntl
    import struct
    import termios

    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=child, stderr=subprocess.STDOUT, env=environment
    )
    os.close(child)
    output = b""
    while True:
        try:
            chunk = os.read(parent, 65536)
        except OSError:
            break
        if not chunk:
            break
        output += chunk
    os.close(parent)
    assert process.wait(60) == 0
    return output.decode().replace("\r\n", "\n")


def test_a_terminal_gets_a_table_that_fits(cli, shared_snapshot):
    lines = run_in_terminal([cli.path, "shards", shared_snapshot.root, "--cache-dir", cli.cache_dir]).splitlines()
    assert lines[0].split() == ["db_id", "db_url", "vector_count", "checkpoint_id"]
    assert len(lines) == 5
    assert max(map(len, lines)) <= 60
    assert "…" in lines[1]


def test_a_terminal_gets_lines_when_they_are_asked_for(cli, shared_snapshot):
    output = run_in_terminal(
        [cli.path, "info", shared_snapshot.root, "--format", "jsonl", "--cache-dir", cli.cache_dir]
    )
    assert json.loads(output)["run_id"] == shared_snapshot.run_id


def test_verify_shows_progress_on_a_terminal(cli, shared_snapshot):
    output = run_in_terminal([cli.path, "verify", shared_snapshot.root, "--cache-dir", cli.cache_dir])
    assert "object 7 of 7" in output


def test_a_long_reference_keeps_its_end_on_a_terminal(cli, shared_snapshot):
    output = run_in_terminal([cli.path, "shards", shared_snapshot.root, "--cache-dir", cli.cache_dir])
    for db_id, line in enumerate(output.splitlines()[1:]):
        reference = line.split()[1]
        assert reference.endswith("/attempt=00") and "…" in reference and f"{db_id}/" in reference


def test_an_age_is_in_words_on_a_terminal(cli, shared_snapshot):
    arguments = ["health", shared_snapshot.root, "--cache-dir", cli.cache_dir]
    output = run_in_terminal([cli.path, *arguments], columns=120)
    assert re.search(r"^manifest_age +\d+ (day|hour|minute|second)s?", output, re.MULTILINE)
    assert isinstance(cli.one(*arguments, cache=False)["manifest_age_seconds"], (int, float))


# ---------------------------------------------------------------------------------------------------------------- Usage


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_is_printed(cli, option):
    expected = cli.run("--version").stdout
    assert re.fullmatch(r"shardyfusion \d+\.\d+\.\d+\n", expected)
    assert cli.run(option).stdout == expected
    assert cli.run("search", option, cache=False).stdout == expected


def test_options_come_before_or_after_the_command(cli, shared_snapshot, query_text):
    after = cli.one("search", shared_snapshot.root, "--top-k", 2, "--query", query_text)
    before = cli.one("--top-k", 2, f"--query={query_text}", "search", "--cache-dir", cli.cache_dir, shared_snapshot.root)
    assert before["results"] == after["results"] and len(before["results"]) == 2
    cli.misused("--top-k", 2, "info", shared_snapshot.root, names=["info has no option --top-k"])
    cli.misused("--topk", 2, names=["--topk"])
    cli.misused("--top-k", 2, names=["command is missing"])


def test_help_takes_a_command(cli):
    assert cli.run("help", "search").stdout == cli.run("search", "--help", cache=False).stdout
    cli.misused("help", "serch", names=["did you mean search"])



def test_help_lists_the_commands(cli):
    done = cli.run("--help")
    assert done.returncode == 0
    assert all(f"\n  {command} " in done.stdout for command in COMMANDS)
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli, command):
    for arguments in ([command, "--help"], [command, "some/root", "--help"], [command, "-h"]):
        done = cli.run(*arguments, cache=False)
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: shardyfusion {command} ROOT")
        assert "--format" in done.stdout
        assert done.stderr == ""


def test_help_names_every_option_of_search(cli):
    text = cli.run("search", "--help", cache=False).stdout
    for option in (
        "--query-file --row --query --top-k --num-probes --shard-ids --routing-context "
        "--cache-dir --max-concurrency --max-fallback-attempts --profile --s3-option --format --help"
    ).split():
        assert f"\n  {option} " in text


def test_a_search_with_recall_is_of_all_shards(cli, shared_snapshot, query_text):
    """And exact in a process of its own: lists are opened once a first search has ended."""
    found = cli.one("search", shared_snapshot.root, "--query", query_text, "--recall", 0.9)
    exact = cli.one("search", shared_snapshot.root, "--query", query_text, "--num-probes", 4)
    assert found["num_shards_queried"] == 4
    assert found["results"] == exact["results"]


def test_a_recall_that_is_no_share_is_refused(cli, shared_snapshot, query_text):
    for recall in (0, 1.5):
        done = cli.run("search", shared_snapshot.root, "--query", query_text, "--recall", recall)
        assert done.returncode == 1
        assert "ConfigValidationError: recall: expected a number above 0 and up to 1, found" in done.stderr


def test_version_is_printed(cli):
    done = cli.run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("shardyfusion 0.")


def test_a_missing_command_is_misuse(cli):
    cli.misused()


def test_an_unknown_command_is_misuse_and_gets_a_suggestion(cli):
    cli.misused("serach", "root", names=["did you mean search?"])
    cli.misused("frobnicate", names=["frobnicate"])
    cli.misused("--frobnicate", names=["--frobnicate"])


def test_an_unknown_option_is_misuse_and_gets_a_suggestion(cli):
    cli.misused("search", "root", "--topk", "3", cache=False, names=["did you mean --top-k?"])
    cli.misused("info", "root", "--top-k", "3", cache=False, names=["--top-k"])
    cli.misused("info", "root", "-x", cache=False, names=["-x"])


MISUSES = {
    "no root": ["search", "--query", "[1]"],
    "two roots": ["info", "a", "b"],
    "an empty root": ["info", ""],
    "no query": ["search", "root"],
    "two queries": ["search", "root", "--query", "[1]", "--query-file", "q.npy"],
    "row without a file": ["search", "root", "--query", "[1]", "--row", "1"],
    "negative row": ["search", "root", "--query-file", "q.npy", "--row", "-1"],
    "value missing": ["search", "root", "--query"],
    "top-k not a number": ["search", "root", "--query", "[1]", "--top-k", "ten"],
    "top-k empty": ["search", "root", "--query", "[1]", "--top-k="],
    "top-k too large": ["search", "root", "--query", "[1]", "--top-k", "9223372036854775808"],
    "top-k with a fraction": ["search", "root", "--query", "[1]", "--top-k", "1.5"],
    "num-probes not a number": ["search", "root", "--query", "[1]", "--num-probes", "x"],
    "shard-ids empty": ["search", "root", "--query", "[1]", "--shard-ids", ""],
    "shard-ids with a gap": ["search", "root", "--query", "[1]", "--shard-ids", "1,,2"],
    "shard-ids not numbers": ["search", "root", "--query", "[1]", "--shard-ids", "a"],
    "routing-context not JSON": ["search", "root", "--query", "[1]", "--routing-context", "{"],
    "format unknown": ["info", "root", "--format", "xml"],
    "max-concurrency zero": ["info", "root", "--max-concurrency", "0"],
    "max-fallback-attempts negative": ["info", "root", "--max-fallback-attempts", "-1"],
    "staleness-threshold not a number": ["health", "root", "--staleness-threshold", "old"],
    "staleness-threshold nan": ["health", "root", "--staleness-threshold", "nan"],
    "limit zero": ["history", "root", "--limit", "0"],
    "help with a value": ["info", "root", "--help=1"],
    "query not JSON": ["search", "root", "--query", "1, 2"],
    "query not an array": ["search", "root", "--query", '{"query": [1]}'],
    "query cut": ["search", "root", "--query", "[1, 2"],
    "query with words": ["search", "root", "--query", '[1, "2"]'],
    "query with nan": ["search", "root", "--query", "[NaN]"],
    "query with hexadecimal": ["search", "root", "--query", "[0x10]"],
    "query with more behind": ["search", "root", "--query", "[1] [2]"],
    "query nested": ["search", "root", "--query", "[[1, 2]]"],
}


@pytest.mark.parametrize("arguments", MISUSES.values(), ids=MISUSES.keys())
def test_misuse(cli, arguments):
    cli.misused(*arguments, cache=False)


def test_a_row_behind_the_end_is_misuse(cli, shared_snapshot, tmp_path):
    np.save(tmp_path / "q.npy", np.zeros((3, 16)))
    cli.misused("search", shared_snapshot.root, "--query-file", tmp_path / "q.npy", "--row", "3", names=["3 rows"])


def test_a_root_that_begins_with_dashes_stands_behind_two(cli, shared_snapshot, tmp_path):
    (tmp_path / "--root").symlink_to(shared_snapshot.root)
    assert cli.one("info", "--", "--root", cwd=tmp_path, cache=False)["dim"] == 16


def test_the_last_of_an_option_counts(cli, shared_snapshot, query_text):
    line = cli.one("search", shared_snapshot.root, "--query", query_text, "--top-k", 9, "--top-k", 2)
    assert len(line["results"]) == 2


def test_without_a_place_for_a_cache_only_loading_a_shard_fails(cli, shared_snapshot):
    bare = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    assert cli.run("info", shared_snapshot.root, cache=False, env=bare).returncode == 0
    query = json.dumps([0.5] * 16)
    done = cli.run("search", shared_snapshot.root, "--query", query, cache=False, env=bare)
    assert (done.returncode, done.stdout) == (1, "")
    assert "ConfigValidationError: cache_dir" in done.stderr
