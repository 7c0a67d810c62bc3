"""The programs of examples/: what they print is what the command finds."""

import os
import re
import subprocess

import pytest
from conftest import GOLDEN, ROOT

SNAPSHOTS = [ROOT / "examples" / "words" / "snapshot", GOLDEN / "sqlite-cosine-cluster" / "snapshot"]


def run_example(cli_path, tmp_path, name, *arguments):
    program = cli_path.parent / "examples" / f"example_{name}"
    if not program.exists():
        pytest.skip("the examples were not built")
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def expected_line(cli, root, number):
    dim = cli.one("info", root)["dim"]
    found = cli.search(root, [float(i == number % dim) for i in range(dim)], "--top-k", 3)["results"]
    return f"query {number}:" + "".join(f" {result['id']} ({result['score']:.6f})" for result in found)


def queries_of(lines):
    return {int(re.match(r"query (\d+):", line)[1]): line for line in lines if line.startswith("query ")}


@pytest.mark.parametrize("root", SNAPSHOTS, ids=str)
def test_the_asynchronous_example_finds_what_the_command_finds(cli, cli_path, tmp_path, root):
    lines = run_example(cli_path, tmp_path, "search_async", root)
    found = queries_of(lines)
    assert set(found) == set(range(8))
    for number, line in found.items():
        if not (number == 5 and line == "query 5: cancelled"):
            assert line == expected_line(cli, root, number)
    assert lines[-2:] == ["refresh: nothing new", "closed"]


@pytest.mark.parametrize("root", SNAPSHOTS, ids=str)
def test_the_libuv_example_finds_what_the_command_finds(cli, cli_path, tmp_path, root):
    found = queries_of(run_example(cli_path, tmp_path, "search_libuv", root, "40"))
    assert set(found) == set(range(40))
    for number in (0, 1, 17, 39):
        assert found[number] == expected_line(cli, root, number)


def test_the_libuv_example_needs_no_queries(cli_path, tmp_path):
    assert run_example(cli_path, tmp_path, "search_libuv", SNAPSHOTS[0], "0") == []


def test_the_blocking_example_finds_what_the_command_finds(cli, cli_path, tmp_path):
    root = SNAPSHOTS[0]
    lines = run_example(cli_path, tmp_path, "search", root)
    found = cli.search(root, [0.5, -0.25, 0.125] + [0.0] * 97, "--top-k", 5)["results"]
    assert [line.split()[0] for line in lines] == [str(result["id"]) for result in found]


def test_an_example_says_what_is_wrong(cli_path, tmp_path):
    for name in ("search", "search_async", "search_libuv"):
        program = cli_path.parent / "examples" / f"example_{name}"
        if not program.exists():
            pytest.skip("the examples were not built")
        done = subprocess.run([program, tmp_path], capture_output=True, text=True, timeout=120)
        assert done.returncode == 1 and done.stderr.startswith("ReaderStateError: "), (name, done)


def test_the_example_that_builds_publishes_a_snapshot(cli, cli_path, tmp_path):
    lines = run_example(cli_path, tmp_path, "build", tmp_path / "root")
    ref = cli.one("info", tmp_path / "root")["manifest_ref"]
    assert lines == [f"1000 rows in 4 shards: {ref}"]
    assert all(line["status"] == "ok" for line in cli.lines("verify", tmp_path / "root"))


def test_the_guide_to_the_c_interface_names_what_there_is():
    guide = (ROOT / "docs" / "c-api.md").read_text()
    header = "".join(path.read_text() for path in (ROOT / "include").rglob("*.h"))
    named = set(re.findall(r"\bsf_[a-z0-9_]+", guide)) | set(re.findall(r"\bSF_[A-Z0-9_]+", guide))
    assert len(named) > 40
    for name in named:
        assert re.search(rf"\b{name}\b", header), f"{name} is in docs/c-api.md and not in the headers"
    for link in re.findall(r"\]\(([^)#]+)\)", guide):
        assert (ROOT / "docs" / link).exists(), link


def excerpts_of(guide):
    return re.findall(r"<!-- from ([\w./]+) -->\n```c\n(.*?)```", guide, re.DOTALL)


def test_the_code_in_the_guide_is_taken_from_the_examples():
    guide = (ROOT / "docs" / "c-api.md").read_text()
    excerpts = excerpts_of(guide)
    assert len(excerpts) == guide.count("```c\n") >= 4
    for path, code in excerpts:
        assert code in (ROOT / path).read_text(), f"not in {path}:\n{code}"
