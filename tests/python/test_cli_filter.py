"""The command with filters, ranges, pages and vectors; rows by id, and counts."""

import json

import numpy as np
import pytest

ROWS, DIM = 40, 3


@pytest.fixture(scope="module", params=["lance", "sqlite-vec"])
def root(request, tmp_path_factory, cli_path):
    import subprocess

    folder = tmp_path_factory.mktemp("filtered")
    rows = [
        {"id": i if i % 2 else f"row {i}", "vector": [float(i), 0.0, 1.0], "payload": {"lang": "en" if i % 4 else "de", "n": i}}
        for i in range(ROWS)
    ]
    if request.param == "lance":
        rows = [row | {"id": str(row["id"])} for row in rows]
    lines = "\n".join(map(json.dumps, rows))
    command = [cli_path, "build", folder / "root", "--jsonl", "-", "--backend", request.param, "--metric", "l2", "--num-dbs", "2"]
    subprocess.run(list(map(str, command)), input=lines, text=True, check=True, capture_output=True)
    return folder / "root"


def search(cli, root, *arguments):
    found = cli.search(root, [0.0, 0.0, 1.0], "--shard-ids", "0,1", *arguments)
    return found, [result["payload"]["n"] if result["payload"] else None for result in found["results"]]


def test_filters_ranges_and_pages(cli, root):
    _, every = search(cli, root, "--top-k", 40)
    assert every == list(range(ROWS))
    assert search(cli, root, "--filter", 'payload.lang == "de"', "--top-k", 3)[1] == [0, 4, 8]
    assert search(cli, root, "--filter", 'payload.lang == "de"', "--top-k", 3, "--offset", 3)[1] == [12, 16, 20]
    score = search(cli, root, "--top-k", 6)[0]["results"][-1]["score"]
    assert search(cli, root, "--max-score", score, "--all")[1] == every[:6]
    assert search(cli, root, "--max-score=-1", "--all")[1] == []
    message = cli.fails("ConfigValidationError", "search", root, "--query", "[0,0,1]", "--all", "--max-score", 1e9, "--max-results", 5)
    assert "found" in message


def test_vectors_and_payloads(cli, root):
    found, _ = search(cli, root, "--top-k", 1, "--vectors", "--no-payloads")
    assert found["results"][0]["vector"] == [0.0, 0.0, 1.0]
    assert found["results"][0]["payload"] is None


def test_rows_are_fetched_in_the_order_of_their_ids(cli, root):
    rows = cli.lines("fetch", root, "row 2", "3", "none", "--vectors", "--cache-dir", cli.cache_dir)
    assert [str(row["id"]) for row in rows] == ["row 2", "3", "none"]
    assert [row["found"] for row in rows] == [True, True, False]
    assert [row["payload"] and row["payload"]["n"] for row in rows] == [2, 3, None]
    assert np.array_equal(rows[1]["vector"], [3.0, 0.0, 1.0]) and rows[2]["vector"] is None
    assert "id is missing" in cli.misused("fetch", root)


def test_rows_are_counted(cli, root):
    assert cli.one("count", root, "--cache-dir", cli.cache_dir) == {"count": ROWS}
    assert cli.one("count", root, "--filter", "payload.n < 10", "--cache-dir", cli.cache_dir) == {"count": 10}
    each = [cli.one("count", root, "--shard-ids", shard, "--cache-dir", cli.cache_dir)["count"] for shard in (0, 1)]
    assert sum(each) == ROWS


def test_a_search_is_explained(cli, root):
    found, _ = search(cli, root, "--filter", "payload.n < 10", "--explain")
    assert found["explain"]["rows"]["matching"] == 10
    table = cli.run("search", root, "--query", "[0,0,1]", "--explain", "--format", "table").stdout
    assert "scored in float64" in table


@pytest.mark.parametrize("options", [["--max-score", "x"], ["--offset", "-1"], ["--max-results", "0"], ["--vectors=yes"]])
def test_mistakes_name_the_option(cli, root, options):
    cli.misused("search", root, "--query", "[0,0,1]", *options, names=[options[0].split("=")[0]])


def test_a_bad_filter_is_refused_with_its_position(cli, root):
    cli.fails("ConfigValidationError", "count", root, "--filter", "payload.n <", names=["filter: 1:12"])
