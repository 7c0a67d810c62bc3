"""What can be wrong with what a snapshot is to be built from: file and row are named, and nothing is published."""

import json

import numpy as np
import pytest
from build_roots import all_files


class Given:
    """Files for a build that would succeed, for a test to spoil."""

    def __init__(self, folder, root):
        self.folder = folder
        self.root = root
        self.vectors = np.random.default_rng(2).normal(size=(100, 6)).astype("f4")
        self.ids = [f"id{i}" for i in range(100)]
        self.payloads = ['{"n": 1}'] * 100
        self.places = [str(i % 3) for i in range(100)]
        self.contexts = ['{"lang": "de"}'] * 100
        self.options = ["--num-dbs", 3]
        self.strategy = "explicit"

    def lines(self):
        return [
            {"id": self.ids[i], "vector": [float(x) for x in self.vectors[i]], "shard_id": int(self.places[i])}
            for i in range(100)
        ]

    def arguments(self):
        np.save(self.folder / "x.npy", self.vectors)
        for name in ("ids", "payloads", "places", "contexts"):
            (self.folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in getattr(self, name)))
        given = ["--vectors", self.folder / "x.npy", "--ids", self.folder / "ids.txt", "--strategy", self.strategy]
        given += ["--payloads", self.folder / "payloads.txt", *self.options]
        if self.strategy == "explicit":
            given += ["--shard-ids", self.folder / "places.txt"]
        if self.strategy == "cel":
            given += ["--routing-contexts", self.folder / "contexts.txt"]
        return given


@pytest.fixture
def given(tmp_path):
    return Given(tmp_path, tmp_path / "root")


def fails(cli, given, *names, error="ConfigValidationError", arguments=None, **options):
    """The build fails, names what it must, and leaves no trace; one that was published before stays."""
    before = all_files(given.root)
    line = cli.fails(error, "build", given.root, *(arguments or given.arguments()), names=names, **options)
    assert all_files(given.root) == before
    return line


def test_not_finite_components_are_refused(cli, given):
    given.vectors[17, 3] = np.nan
    fails(cli, given, "x.npy: row 17: component 3", "nan")
    given.vectors[17, 3] = 0
    given.vectors[99, 0] = np.inf
    fails(cli, given, "x.npy: row 99: component 0", "inf")


def test_not_finite_components_are_refused_by_training_too(cli, given):
    given.vectors[17, 3] = np.nan
    given.strategy = "cluster"
    fails(cli, given, "x.npy: row 17: component 3", "nan")


def test_components_that_float32_can_not_hold_are_refused(cli, given):
    given.vectors = given.vectors.astype("f8")
    given.vectors[4, 5] = 1e300
    fails(cli, given, "x.npy: row 4: component 5")


def test_the_first_bad_row_is_the_one_that_is_named(cli, given):
    for row in (93, 41, 77):
        given.vectors[row, 0] = np.nan
    fails(cli, given, "x.npy: row 41: ")


@pytest.mark.parametrize("place", ["3", "-1", "99999999999"])
def test_a_shard_that_is_not_there_is_refused(cli, given, place):
    given.places[23] = place
    fails(cli, given, "places.txt: row 23", "from 0 to 2", place)


def test_a_shard_id_that_is_no_integer_is_refused(cli, given):
    given.places[23] = "two"
    fails(cli, given, "places.txt: row 23", "two")


def test_an_unknown_routing_token_is_refused(cli, given):
    given.strategy = "cel"
    given.options = ["--cel-expr", "lang", "--cel-columns", '{"lang": "string"}', "--routing-values", '["de", "en"]']
    given.contexts[12] = '{"lang": "xx"}'
    fails(cli, given, "contexts.txt: row 12", '"xx"', error="UnknownRoutingTokenError")


@pytest.mark.parametrize("context", ["{}", "[]", '{"lang": 3}', "{", "{'lang': 'de'}", '{"lang": NaN}'])
def test_a_bad_routing_context_is_refused(cli, given, context):
    given.strategy = "cel"
    given.options = ["--cel-expr", "lang", "--cel-columns", '{"lang": "string"}', "--routing-values", '["de", "en"]']
    given.contexts[12] = context
    fails(cli, given, "contexts.txt: row 12")


def test_a_bad_expression_is_refused(cli, given):
    given.strategy = "cel"
    given.options = ["--cel-expr", "lang +", "--cel-columns", '{"lang": "string"}', "--num-dbs", 2]
    fails(cli, given, "cel_expr")


NO_OBJECTS = ["{", "[1]", "3", '{"a": 1} x', ""]
NOT_JSON = ["{'a': 1}", '{"a": "x\ty"}', '{"a": "\x01"}', '{"a": 1.}', '{"a": 1.e1}', '{"a": 00}', '{"a": -01}', '{"a": NaN}', '{"a": Infinity}']


@pytest.mark.parametrize("payload", NO_OBJECTS + NOT_JSON)
def test_a_payload_that_is_no_object_is_refused(cli, given, payload):
    given.payloads[31] = payload
    fails(cli, given, "payloads.txt: row 31")


@pytest.mark.parametrize("kind", ["text", "integers"])
def test_an_id_twice_is_refused(cli, given, kind):
    if kind == "integers":
        given.ids = [str(i) for i in range(100)]
    given.ids[70] = given.ids[8]
    fails(cli, given, "ids.txt: row 70", "row 8")


def test_an_integer_and_its_decimals_are_one_id_where_ids_are_text(cli, given):
    lines = given.lines()
    lines[8]["id"], lines[70]["id"] = 7, "7"
    path = given.folder / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    arguments = ["--jsonl", path, "--strategy", "explicit", "--num-dbs", 3]
    fails(cli, given, "rows.jsonl: line 71", "line 9", "text", arguments=arguments)
    cli.one("build", given.root, *arguments, "--backend", "sqlite")


@pytest.mark.parametrize("name, file", [("ids", "ids.txt"), ("payloads", "payloads.txt"), ("places", "places.txt")])
@pytest.mark.parametrize("change", ["less", "more"])
def test_counts_that_differ_are_refused(cli, given, name, file, change):
    column = getattr(given, name)
    column.pop() if change == "less" else column.append("900" if name != "payloads" else "{}")
    fails(cli, given, f"{file}: expected 100 lines", "x.npy", "99" if change == "less" else "more")


def test_arrays_of_another_shape_are_refused(cli, given):
    arguments = given.arguments()
    np.save(given.folder / "x.npy", given.vectors.reshape(10, 10, 6))
    fails(cli, given, "x.npy", arguments=arguments)
    np.save(given.folder / "x.npy", given.vectors[0])
    fails(cli, given, "x.npy", arguments=arguments)
    np.save(given.folder / "x.npy", given.vectors.astype("c8"))
    fails(cli, given, "x.npy", "'<c8'", arguments=arguments)
    np.save(given.folder / "x.npy", given.vectors.astype(object))
    fails(cli, given, "x.npy", "Python objects", arguments=arguments)
    np.save(given.folder / "x.npy", given.vectors.view([("x", "<f4")]))
    fails(cli, given, "x.npy", "structured", arguments=arguments)
    np.save(given.folder / "x.npy", given.vectors[:0])
    fails(cli, given, "at least one row", arguments=[*arguments[:2], "--strategy", "lsh", "--num-dbs", 2])
    np.save(given.folder / "places.npy", np.arange(99))
    np.save(given.folder / "x.npy", given.vectors)
    fails(cli, given, "places.npy", "100", "99", arguments=[*arguments[:2], "--strategy", "explicit", "--num-dbs", 3, "--shard-ids", given.folder / "places.npy"])


@pytest.mark.parametrize("dtype", ["f8", "?", "<U4", "M8[s]"])
def test_ids_that_are_no_integers_are_refused(cli, given, dtype):
    arguments = given.arguments()[:2]
    np.save(given.folder / "ids.npy", np.arange(100).astype("i8").astype(dtype))
    fails(cli, given, "ids.npy", np.dtype(dtype).str[:3], arguments=[*arguments, "--num-dbs", 2, "--ids", given.folder / "ids.npy"])


@pytest.mark.parametrize("row", [0, 57, 99])
@pytest.mark.parametrize("dtype", ["<f4", ">f8"])
def test_a_bad_component_of_a_converted_array_is_named(cli, given, dtype, row):
    arguments = given.arguments()
    given.vectors[row, 2] = np.inf
    np.save(given.folder / "x.npy", np.asfortranarray(given.vectors.astype(dtype)))
    fails(cli, given, f"x.npy: row {row}: component 2", "inf", arguments=arguments)


def test_a_file_cut_short_is_refused(cli, given):
    arguments = given.arguments()
    whole = (given.folder / "x.npy").read_bytes()
    for length in (0, 5, 60, len(whole) - 1):
        (given.folder / "x.npy").write_bytes(whole[:length])
        fails(cli, given, "x.npy", arguments=arguments)


def test_a_file_that_is_not_there_is_named(cli, given):
    fails(cli, given, "nothing.npy", error="ShardyfusionError", arguments=["--vectors", "nothing.npy", "--num-dbs", 2])


LINES = {
    "not JSON": ('{"id": 1, "vector": [1,', ["line 18"]),
    "not an object": ("[1, 2]", ["line 18"]),
    "empty": ("", ["line 18"]),
    "wrong dimension": ('{"id": "n", "vector": [1, 2, 3], "shard_id": 0}', ["line 18", "6 components", "found 3"]),
    "no vector": ('{"id": "n", "shard_id": 0}', ["line 18", "vector"]),
    "a text in the vector": ('{"id": "n", "vector": [1, 2, "3", 4, 5, 6], "shard_id": 0}', ["line 18", "vector"]),
    "NaN": ('{"id": "n", "vector": [1, 2, NaN, 4, 5, 6], "shard_id": 0}', ["line 18"]),
    "infinite": ('{"id": "n", "vector": [1, 2, 1e99, 4, 5, 6], "shard_id": 0}', ["line 18", "component 2"]),
    "no id": ('{"vector": [1, 2, 3, 4, 5, 6], "shard_id": 0}', ["line 18", "id"]),
    "id that is a list": ('{"id": [1], "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0}', ["line 18", "id"]),
    "id beyond 64 bits": ('{"id": 9223372036854775808, "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0}', ["line 18", "9223372036854775808"]),
    "half of a surrogate pair as id": ('{"id": "\\ud800", "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0}', ["line 18", "id", "D800"]),
    "number as id": ('{"id": 1.0, "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0}', ["line 18", "id"]),
    "name cut off by a zero": ('{"id\\u0000": 1, "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0}', ["line 18", "id"]),
    "member twice": ('{"id": "n", "id": "m", "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0}', ["line 18", "once", "id"]),
    "NaN in the payload": ('{"id": "n", "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0, "payload": {"a": NaN}}', ["line 18", "NaN"]),
    "beyond all doubles": ('{"id": "n", "vector": [1, 2, 1e999, 4, 5, 6], "shard_id": 0}', ["line 18", "component 2"]),
    "shard beyond 64 bits": ('{"id": "n", "vector": [1, 2, 3, 4, 5, 6], "shard_id": 18446744073709551616}', ["line 18", "shard_id"]),
    "id twice": ('{"id": "id3", "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0}', ["line 18", "line 4"]),
    "no shard": ('{"id": "n", "vector": [1, 2, 3, 4, 5, 6]}', ["line 18", "shard_id"]),
    "shard out of range": ('{"id": "n", "vector": [1, 2, 3, 4, 5, 6], "shard_id": 3}', ["line 18", "found 3"]),
    "payload that is no object": ('{"id": "n", "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0, "payload": 3}', ["line 18", "payload"]),
    "another name": ('{"id": "n", "vector": [1, 2, 3, 4, 5, 6], "shard_id": 0, "pay": {}}', ["line 18", "pay"]),
}


@pytest.mark.parametrize("text, names", LINES.values(), ids=LINES.keys())
def test_a_bad_line_is_named(cli, given, text, names):
    lines = [json.dumps(line) for line in given.lines()]
    lines[17] = text
    path = given.folder / "rows.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    arguments = ["--strategy", "explicit", "--num-dbs", 3]
    fails(cli, given, "rows.jsonl", *names, arguments=["--jsonl", path, *arguments])
    fails(cli, given, "standard input", *names, arguments=["--jsonl", "-", *arguments], input=path.read_text())


def test_what_was_published_before_stays(cli, given):
    cli.one("build", given.root, *given.arguments())
    before = cli.one("info", given.root)
    given.vectors[99, 0] = np.nan
    fails(cli, given, "row 99")
    assert cli.one("info", given.root) == before


OPTIONS = {
    "dot_product in sqlite": (["--num-dbs", 2, "--metric", "dot_product", "--backend", "sqlite"], "dot_product"),
    "centroids beside lsh": (["--num-dbs", 100, "--strategy", "lsh", "--centroids", "x.npy"], "centroids"),
    "a run id with a slash": (["--num-dbs", 2, "--run-id", "a/b"], "run_id"),
    "more shards than rows": (["--num-dbs", 101], "num_dbs"),
    "columns of no type": (
        ["--strategy", "cel", "--num-dbs", 2, "--cel-expr", "1", "--cel-columns", '{"a": "b"}', "--routing-contexts", "c"],
        "cel_columns",
    ),
}


@pytest.mark.parametrize("options, name", OPTIONS.values(), ids=OPTIONS.keys())
def test_options_that_do_not_go_together_are_refused(cli, given, options, name):
    given.arguments()
    arguments = ["--vectors", "x.npy", *options]
    fails(cli, given, name, arguments=arguments, cwd=given.folder)


def test_a_run_id_that_is_there_is_refused(cli, given):
    cli.one("build", given.root, *given.arguments(), "--run-id", "one")
    fails(cli, given, "one", arguments=[*given.arguments(), "--run-id", "one"])


def test_usage_is_explained(cli, given):
    cli.misused("build", given.root, names=["--vectors"])
    cli.misused("build", given.root, "--vectors", "x", "--jsonl", "y", names=["both"])
    cli.misused("build", given.root, "--jsonl", "y", "--ids", "x", names=["--ids"])
    cli.misused("build", given.root, "--vectors", "x", "--metric", "euclid", names=["cosine|l2|dot_product"])
    cli.misused("rollback", given.root, names=["--to"])


VECTORS = ["--vectors", "x.npy"]
CEL = ["--strategy", "cel", "--num-dbs", 2]
MISSING = {
    "--num-dbs": VECTORS,
    "--cel-expr": [*VECTORS, *CEL],
    "--cel-columns": [*VECTORS, *CEL, "--cel-expr", "x"],
    "--routing-contexts": [*VECTORS, *CEL, "--cel-expr", "x", "--cel-columns", '{"x": "int"}'],
    "--shard-ids": [*VECTORS, "--strategy", "explicit", "--num-dbs", 2],
    "--jsonl": ["--num-dbs", 2],
}


@pytest.mark.parametrize("option, arguments", MISSING.items(), ids=MISSING.keys())
def test_an_option_that_is_missing_is_a_usage_error_that_names_it(cli, given, option, arguments):
    cli.misused("build", given.root, *arguments, names=[option])
    assert not given.root.exists()
