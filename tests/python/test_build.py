"""What is built is found: by the command, by brute force, and by the extension whose tables the shards are."""

import json
import os
import shutil
import signal
import subprocess

import numpy as np
import pytest
import snapshot_builder as builder
from build_roots import all_files, live_manifest, open_shard, run_ids, shard_folder, shard_rows
from conftest import assert_exact

METRICS = ["cosine", "l2"]
CEL = ["--cel-expr", "lang", "--cel-columns", '{"lang": "string"}', "--routing-values", '["de", "en", "fr"]']
LANGUAGES = ["de", "en", "fr"]


class Rows:
    """Rows to build from, and their files."""

    def __init__(self, folder, count, dim, seed, dtype="f4"):
        rng = np.random.default_rng(seed)
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.vectors = rng.normal(size=(count, dim)).astype(dtype)
        self.ids = [f"row {i} ä\"\\" for i in range(count)]
        self.payloads = [{"n": i, "text": "x" * (i % 50), "ä": [1.5, None]} if i % 3 else None for i in range(count)]
        self.places = rng.integers(0, 3, size=count)
        np.save(folder / "vectors.npy", self.vectors)
        (folder / "ids.txt").write_text("".join(f"{i}\n" for i in self.ids), encoding="utf-8")
        (folder / "payloads.jsonl").write_text("".join(json.dumps(p) + "\n" for p in self.payloads), encoding="utf-8")
        np.save(folder / "places.npy", self.places)
        (folder / "contexts.jsonl").write_text(
            "".join(json.dumps({"lang": LANGUAGES[p]}) + "\n" for p in self.places), encoding="utf-8"
        )

    def arguments(self, strategy, backend="sqlite"):
        given = ["--backend", backend, "--vectors", self.folder / "vectors.npy", "--ids", self.folder / "ids.txt"]
        given += ["--payloads", self.folder / "payloads.jsonl", "--strategy", strategy]
        if strategy == "cel":
            return [*given, *CEL, "--routing-contexts", self.folder / "contexts.jsonl"]
        if strategy == "explicit":
            return [*given, "--num-dbs", 3, "--shard-ids", self.folder / "places.npy"]
        return [*given, "--num-dbs", 3]

    def lines(self):
        for i, vector in enumerate(self.vectors):
            line = {"id": self.ids[i], "vector": [float(x) for x in vector], "shard_id": int(self.places[i])}
            line["routing_context"] = {"lang": LANGUAGES[self.places[i]]}
            if self.payloads[i] is not None:
                line["payload"] = self.payloads[i]
            yield json.dumps(line) + "\n"

    def expected(self, query, rows, metric, top_k=10):
        scores = builder.brute_scores(np.asarray(query, "f8"), self.vectors[rows].astype("f8"), metric)
        order = np.argsort(scores, kind="stable")[:top_k]
        return [(self.ids[rows[i]], float(scores[i]), self.payloads[rows[i]]) for i in order]


@pytest.fixture
def rows(tmp_path):
    return Rows(tmp_path / "rows", 2500, 24, seed=3)


def placed_rows(root):
    """Row numbers by shard, as the extension finds them, checked against the manifest."""
    meta, shards = live_manifest(root)
    placed = {}
    for db_id, shard in shards.items():
        path = shard_folder(root, shard, meta) / "shard.db"
        found = shard_rows(path)
        assert shard["row_count"] == len(found)
        assert shard["db_bytes"] == path.stat().st_size
        placed[db_id] = found
    return meta, placed


def questions(strategy, places):
    """What has to be asked for all rows of the first shard, or all shards, to be looked at."""
    if strategy == "explicit":
        return [("--shard-ids", "0,1,2"), ("--shard-ids", "1")]
    if strategy == "cel":
        return [("--routing-context", json.dumps({"lang": lang})) for lang in LANGUAGES]
    return [("--num-probes", 3), ("--num-probes", 1)]


NUMBERS = {
    "uint": ('{"de": 2u, "en": 0u, "fr": 1u}[lang]', {"de": 2, "en": 0, "fr": 1}),
    "hash": ("shard_hash(lang) % 3u", {lang: builder.shard_hash(lang) % 3 for lang in LANGUAGES}),
    "string": ('{"de": "02", "en": " +0", "fr": "1"}[lang]', {"de": 2, "en": 0, "fr": 1}),
    "bytes": ('{"de": b"2", "en": b"-0", "fr": b"1\\n"}[lang]', {"de": 2, "en": 0, "fr": 1}),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_an_expression_may_name_a_shard_by_a_uint_or_in_decimal(cli, tmp_path, rows, kind):
    expression, shard_of = NUMBERS[kind]
    root = tmp_path / "root"
    given = ["--vectors", rows.folder / "vectors.npy", "--routing-contexts", rows.folder / "contexts.jsonl"]
    cel = ["--strategy", "cel", "--cel-expr", expression, "--cel-columns", '{"lang": "string"}', "--num-dbs", 3]
    cli.one("build", root, *given, *cel)
    expected = [sum(shard_of[LANGUAGES[place]] == db_id for place in rows.places) for db_id in range(3)]
    assert [shard["vector_count"] for shard in cli.lines("shards", root)] == expected
    query = json.dumps([float(x) for x in rows.vectors[0]])
    for lang in LANGUAGES:
        context = ("--routing-context", json.dumps({"lang": lang}))
        assert cli.one("route", root, "--query", query, *context)["route"] == [shard_of[lang]]


@pytest.mark.parametrize("expression, found", [("3u", "3"), ("'3'", '"3"'), ("b'three'", "three"), ("-1", "-1")])
def test_an_expression_that_names_no_shard_is_refused_with_its_row(cli, tmp_path, rows, expression, found):
    given = ["--vectors", rows.folder / "vectors.npy", "--routing-contexts", rows.folder / "contexts.jsonl"]
    cel = ["--strategy", "cel", "--cel-expr", expression, "--cel-columns", '{"lang": "string"}', "--num-dbs", 3]
    names = ["row 0", "shard id from 0 to 2", found]
    cli.fails("ConfigValidationError", "build", tmp_path / "root", *given, *cel, names=names)


@pytest.mark.parametrize("strategy", ["cluster", "lsh", "explicit", "cel"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("source", ["arrays", "lines"])
def test_what_is_built_is_found_exactly(cli, tmp_path, rows, strategy, metric, source):
    root = tmp_path / "root"
    arguments = rows.arguments(strategy)
    if source == "lines":
        arguments = ["--jsonl", "-", "--backend", "sqlite", *arguments[arguments.index("--strategy") :]]
        for name in ("--routing-contexts", "--shard-ids"):
            if name in arguments:
                del arguments[arguments.index(name) : arguments.index(name) + 2]
        built = cli.one("build", root, "--metric", metric, *arguments, input="".join(rows.lines()))
    else:
        built = cli.one("build", root, "--metric", metric, *arguments)
    assert (built["num_rows"], built["dim"], built["num_dbs"]) == (2500, 24, 3)

    meta, placed = placed_rows(root)
    vector = meta["custom"]["vector"]
    assert (vector["metric"], vector["sharding_strategy"], vector["total_vectors"]) == (metric, strategy, 2500)
    number = {identifier: i for i, identifier in enumerate(rows.ids)}
    members = {db_id: [number[i] for i, _, _ in found] for db_id, found in placed.items()}
    assert sorted(sum(members.values(), [])) == list(range(2500))
    for db_id, found in placed.items():
        assert members[db_id] == sorted(members[db_id])
        assert np.array_equal(np.stack([v for _, v, _ in found]), rows.vectors[members[db_id]])
        assert [p for _, _, p in found] == [rows.payloads[i] for i in members[db_id]]
        if strategy in ("explicit", "cel"):
            assert members[db_id] == list(np.flatnonzero(rows.places == db_id))

    for query in np.random.default_rng(5).normal(size=(4, 24)).astype("f4"):
        for asked in questions(strategy, rows.places):
            asked = list(map(str, asked))
            answer = cli.search(root, query, *asked)
            route = [int(i) for i in asked[1].split(",")] if strategy == "explicit" else None
            if route is None:
                route = cli.one("route", root, "--query", json.dumps(query.tolist()), *asked)["route"]
            searched = sorted(sum((members.get(i, []) for i in route), []))
            assert_exact(answer, rows.expected(query, searched, metric))


@pytest.mark.parametrize("strategy", ["cluster", "lsh"])
def test_each_row_lies_in_the_shard_that_its_vector_is_routed_to(cli, tmp_path, rows, strategy):
    root = tmp_path / "root"
    cli.one("build", root, *rows.arguments(strategy))
    _, placed = placed_rows(root)
    shard_of = {identifier: db_id for db_id, found in placed.items() for identifier, _, _ in found}
    lines = cli.lines("route", root, "--query-file", rows.folder / "vectors.npy", "--num-probes", 1)
    assert [line["route"] for line in lines] == [[shard_of[i]] for i in rows.ids]


def lance_scores(query, vectors, metric):
    """As Lance states them: l2 is squared, a dot product's distance is 1 minus it."""
    if metric == "dot_product":
        return 1 - vectors @ query
    scores = builder.brute_scores(query, vectors, metric)
    return scores**2 if metric == "l2" else scores


@pytest.mark.parametrize("strategy", ["cluster", "lsh", "explicit", "cel"])
@pytest.mark.parametrize("metric", ["cosine", "l2", "dot_product"])
def test_what_is_built_of_lance_shards_is_found_exactly(cli, tmp_path, rows, strategy, metric):
    root = tmp_path / "root"
    built = cli.one("build", root, "--metric", metric, *rows.arguments(strategy, "lance"))
    assert built["num_rows"] == 2500
    assert all(line["status"] == "ok" for line in cli.lines("verify", root))
    places = rows.places
    if strategy in ("cluster", "lsh"):
        lines = cli.lines("route", root, "--query-file", rows.folder / "vectors.npy", "--num-probes", 1)
        places = np.array([line["route"][0] for line in lines])
    counts = {line["db_id"]: line["vector_count"] for line in cli.lines("shards", root)}
    assert counts == {i: int(np.sum(places == i)) for i in range(3)}
    for query in np.random.default_rng(5).normal(size=(3, 24)).astype("f4"):
        for asked in questions(strategy, places):
            asked = list(map(str, asked))
            if strategy == "explicit":
                route = [int(i) for i in asked[1].split(",")]
            else:
                route = cli.one("route", root, "--query", json.dumps(query.tolist()), *asked)["route"]
            searched = np.flatnonzero(np.isin(places, route))
            scores = lance_scores(query.astype("f8"), rows.vectors[searched].astype("f8"), metric)
            order = np.argsort(scores, kind="stable")[:10]
            expected = [(rows.ids[searched[i]], float(scores[i]), rows.payloads[searched[i]]) for i in order]
            assert_exact(cli.search(root, query, *asked), expected)


@pytest.mark.parametrize("dim", [1, 24, 1200, 2500])
def test_the_extension_searches_inserts_and_deletes(cli, tmp_path, dim):
    rows = Rows(tmp_path / "rows", 1500, dim, seed=dim)
    root = tmp_path / "root"
    cli.one("build", root, *rows.arguments("explicit"), "--metric", "l2")
    meta, shards = live_manifest(root)
    path = shard_folder(root, shards[1], meta) / "shard.db"
    members = list(np.flatnonzero(rows.places == 1))
    db = open_shard(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    search = "SELECT rowid, distance FROM vec_index WHERE embedding MATCH ? AND k = 5 ORDER BY distance"
    query = rows.vectors[members[7]]
    found = db.execute(search, (query.tobytes(),)).fetchall()
    distances = np.linalg.norm(rows.vectors[members].astype("f8") - query.astype("f8"), axis=1)
    assert found[0] == (7, 0.0)
    assert [d for _, d in found] == pytest.approx(sorted(distances)[:5], rel=1e-5, abs=1e-5)
    db.execute("DELETE FROM vec_index WHERE rowid = 7")
    assert db.execute(search, (query.tobytes(),)).fetchone()[0] != 7
    for rowid in range(10_000, 11_100):  # into the last chunk, and another
        db.execute("INSERT INTO vec_index (rowid, embedding) VALUES (?, ?)", (rowid, query.tobytes()))
    db.execute("INSERT INTO vec_index (embedding) VALUES (?)", (query.tobytes(),))
    assert db.execute("SELECT count(*) FROM vec_index").fetchone()[0] == len(members) - 1 + 1101
    db.commit()
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_tables_are_those_that_the_extension_makes(cli, tmp_path, rows):
    root = tmp_path / "root"
    cli.one("build", root, *rows.arguments("explicit"))
    meta, shards = live_manifest(root)
    path = shard_folder(root, shards[0], meta) / "shard.db"
    members = list(np.flatnonzero(rows.places == 0))
    theirs = tmp_path / "theirs.db"
    db = builder.sqlite3.connect(theirs)
    db.enable_load_extension(True)
    builder.sqlite_vec.load(db)
    db.execute("CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID")
    db.execute("CREATE VIRTUAL TABLE vec_index USING vec0(embedding float[24] distance_metric=cosine)")
    for rowid, member in enumerate(members):
        db.execute("INSERT INTO vec_index (rowid, embedding) VALUES (?, ?)", (rowid, rows.vectors[member].tobytes()))
    db.commit()
    db.close()

    def contents(path):
        db = open_shard(path, read_only=True)
        schema = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'vec_index%' OR name = 'kv'"))
        tables = {
            name: db.execute(f'SELECT * FROM "{name}"').fetchall()
            for name in sorted(schema)
            if name.startswith("vec_index_")
        }
        db.close()
        return schema, tables

    assert contents(path) == contents(theirs)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_vectors_of_every_precision_are_rounded_to_float32(cli, tmp_path, dtype):
    rows = Rows(tmp_path / "rows", 300, 7, seed=9, dtype=dtype)
    root = tmp_path / "root"
    cli.one("build", root, *rows.arguments("explicit"))
    _, placed = placed_rows(root)
    for db_id, found in placed.items():
        assert np.array_equal(np.stack([v for _, v, _ in found]), rows.vectors[rows.places == db_id].astype("f4"))


PAYLOAD = '{"a": 1.50e+2, "b": 123456789012345678901234567890, "c": 1e400, "d\\u0000": "\\ud800", "e": -0, "a": "\\/"}'


def test_payloads_keep_their_text(cli, tmp_path):
    (tmp_path / "rows.jsonl").write_text(f'{{"id": "\\u00e4\\u0000", "vector": [1, 0], "payload": {PAYLOAD}}}\n')
    np.save(tmp_path / "x.npy", np.ones((1, 2), "f4"))
    (tmp_path / "payloads.txt").write_text(PAYLOAD + "\n")
    given = {"jsonl": ["--jsonl", tmp_path / "rows.jsonl"], "text": ["--vectors", tmp_path / "x.npy", "--payloads", tmp_path / "payloads.txt"]}
    for name, arguments in given.items():
        for backend in ("sqlite", "lance"):
            root = tmp_path / f"{name}-{backend}"
            cli.one("build", root, *arguments, "--num-dbs", 1, "--backend", backend)
            done = cli.run("search", root, "--query", "[1, 0]")
            assert f'"payload": {PAYLOAD.replace(": ", ":").replace(", ", ",")}' in done.stdout
            assert name == "text" or json.loads(done.stdout)["results"][0]["id"] == "\u00e4\0"
            assert cli.run("verify", root).returncode == 0


def test_a_byte_order_mark_is_no_part_of_what_follows(cli, tmp_path):
    np.save(tmp_path / "x.npy", np.eye(2, dtype="f4"))
    files = {"ids": "a\nb\n", "payloads": '{"n": 1}\nnull\n', "routing-contexts": '{"k": 0}\n{"k": 1}\n'}
    arguments = ["--vectors", tmp_path / "x.npy"]
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        arguments += [f"--{name}", tmp_path / name]
    rows = '{"id": "a", "vector": [1, 0], "payload": {"n": 1}, "routing_context": {"k": 0}}\n'
    (tmp_path / "rows").write_text(rows, encoding="utf-8-sig")
    cel = ["--strategy", "cel", "--cel-expr", "k", "--cel-columns", '{"k": "int"}', "--num-dbs", 2]
    for root, given in {"arrays": arguments, "lines": ["--jsonl", tmp_path / "rows"]}.items():
        cli.one("build", tmp_path / root, *given, *cel)
        found = cli.one("search", tmp_path / root, "--query", "-", "--shard-ids", 0, input="\ufeff[1, 0]\n")["results"][0]
        assert (found["id"], found["payload"]) == ("a", {"n": 1})
    (tmp_path / "numbers").write_text("7\n8\n", encoding="utf-8-sig")
    cli.one("build", tmp_path / "root", *arguments[:2], "--ids", tmp_path / "numbers", "--num-dbs", 1, "--backend", "sqlite")
    assert cli.search(tmp_path / "root", [1, 0])["results"][0]["id"] == 7


def test_rows_without_ids_are_numbered(cli, tmp_path, rows):
    root = tmp_path / "root"
    cli.one("build", root, "--vectors", rows.folder / "vectors.npy", "--num-dbs", 2, "--backend", "sqlite")
    assert cli.search(root, rows.vectors[1234], "--top-k", 1)["results"][0]["id"] == 1234


def test_a_sidecar_lies_beside_each_database_if_it_is_asked_for(cli, tmp_path, rows):
    for name, options in (("with", ["--sidecar"]), ("without", [])):
        root = tmp_path / name
        built = cli.one("build", root, "--vectors", rows.folder / "vectors.npy", "--num-dbs", 2, "--backend", "sqlite", *options)
        names = sorted(path.name for path in (root / "shards").rglob("shard.*"))
        assert names == sorted(["shard.db", *(["shard.sidecar"] if options else [])] * 2)
        assert built["num_bytes"] == sum(path.stat().st_size for path in (root / "shards").rglob("shard.db"))
        assert all(line["status"] == "ok" for line in cli.lines("verify", root))
        shutil.copytree(next((root / "shards").iterdir()), root / "shards" / "run_id=dead")
        removed = cli.lines("cleanup", root, "--yes", "--older-than", 0)
        assert [(line["run_id"], line["num_objects"]) for line in removed] == [("dead", len(names))]
    lance = ["--vectors", rows.folder / "vectors.npy", "--num-dbs", 2, "--sidecar"]
    cli.fails("ConfigValidationError", "build", tmp_path / "lance", *lance, names=["sqlite-vec", "lance"])
    assert not (tmp_path / "lance").exists()


def test_shards_are_lance_datasets_unless_it_is_said_otherwise(cli, tmp_path, rows):
    root = tmp_path / "root"
    cli.one("build", root, "--vectors", rows.folder / "vectors.npy", "--num-dbs", 2)
    assert len(list(root.glob("shards/*/*/*/vector_index.lance"))) == 2
    assert cli.search(root, rows.vectors[1234], "--top-k", 1)["results"][0]["id"] == 1234
    for name in ("sqlite", "sqlite-vec"):
        cli.one("build", tmp_path / name, "--vectors", rows.folder / "vectors.npy", "--num-dbs", 2, "--backend", name)
        assert len(list((tmp_path / name).glob("shards/*/*/*/shard.db"))) == 2


@pytest.mark.parametrize("given, id_type, expected", [
    ("lines of integers", "auto", 70), ("lines of integers", "str", "70"), ("lines of both", "auto", "70"), ("array", None, 70),
])
def test_ids_are_integers_or_text(cli, tmp_path, rows, given, id_type, expected):
    ids = [i * 10 for i in range(2500)]
    path = tmp_path / ("ids.npy" if given == "array" else "ids.txt")
    if given == "array":
        np.save(path, np.array(ids))
    else:
        path.write_text("\n".join(map(str, ids[:-1] + ["007" if given == "lines of both" else ids[-1]])) + "\n")
    arguments = ["--vectors", rows.folder / "vectors.npy", "--ids", path, "--num-dbs", 1, "--backend", "sqlite"]
    cli.one("build", tmp_path / "root", *arguments, *(["--id-type", id_type] if id_type else []))
    assert cli.search(tmp_path / "root", rows.vectors[7], "--top-k", 1)["results"][0]["id"] == expected


DTYPES = ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "i1", "<i2", ">i2", "<i4", ">i8", "u1", "<u2", ">u4", "<u8", "?"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_all_types_and_orders_are_built(cli, tmp_path, dtype, order):
    # More rows than a batch and than two tiles of columns have, and no multiple of either.
    values = np.random.default_rng(2).normal(size=(17001, 37)) * 20
    vectors = np.abs(values) if np.dtype(dtype).kind == "u" else values
    vectors = np.array(np.round(vectors) if np.dtype(dtype).kind == "i" else vectors, dtype=dtype, order=order)
    np.save(tmp_path / "x.npy", vectors)
    root = tmp_path / "root"
    options = ["--metric", "l2", "--num-dbs", 3, "--training-rows", 500, "--iterations", 3, "--backend", "sqlite-vec"]
    cli.one("build", root, "--vectors", tmp_path / "x.npy", *options)
    meta, placed = placed_rows(root)
    stored = {identifier: vector for found in placed.values() for identifier, vector, _ in found}
    assert sorted(stored) == list(range(17001))
    assert np.array_equal(np.stack([stored[i] for i in range(17001)]), vectors.astype("f4"))


def test_elements_that_are_not_aligned_are_read(cli, tmp_path, rows):
    file = (rows.folder / "vectors.npy").read_bytes()
    length = int.from_bytes(file[8:10], "little")
    odd = file[:8] + (length + 1).to_bytes(2, "little") + file[10 : 10 + length - 1] + b" \n" + file[10 + length :]
    (tmp_path / "x.npy").write_bytes(odd)
    assert np.array_equal(np.load(tmp_path / "x.npy"), rows.vectors)
    cli.one("build", tmp_path / "root", "--vectors", tmp_path / "x.npy", "--num-dbs", 1)
    assert cli.search(tmp_path / "root", rows.vectors[7], "--top-k", 1)["results"][0]["id"] in (7, "7")


@pytest.mark.parametrize("dtype", ["i1", "<i2", ">i4", ">i8", "u1", ">u2", "<u4", ">u8"])
def test_ids_and_shards_may_be_integers_of_any_type(cli, tmp_path, dtype):
    np.save(tmp_path / "x.npy", np.random.default_rng(3).normal(size=(100, 4)).astype("f4"))
    np.save(tmp_path / "ids.npy", np.arange(100, dtype=dtype))
    np.save(tmp_path / "places.npy", (np.arange(100) % 3).astype(dtype))
    options = ["--strategy", "explicit", "--num-dbs", 3, "--shard-ids", tmp_path / "places.npy"]
    options += ["--ids", tmp_path / "ids.npy", "--backend", "sqlite-vec"]
    cli.one("build", tmp_path / "root", "--vectors", tmp_path / "x.npy", *options)
    meta, placed = placed_rows(tmp_path / "root")
    assert {db_id: sorted(i for i, _, _ in found) for db_id, found in placed.items()} == {
        db_id: list(range(db_id, 100, 3)) for db_id in range(3)
    }


@pytest.mark.parametrize("ids", [[0, 1, -(2**63), 2**63 - 1], ["0", "1", "-5", "7"], [0, 1, "x", 3]])
def test_lance_shards_give_integers_where_all_ids_are_integers(cli, tmp_path, ids):
    vectors = np.eye(4, dtype="f4")
    lines = [json.dumps({"id": i, "vector": vector.tolist()}) + "\n" for i, vector in zip(ids, vectors, strict=True)]
    root = tmp_path / "root"
    cli.one("build", root, "--jsonl", "-", "--num-dbs", 1, "--backend", "lance", input="".join(lines))
    are_integers = all(isinstance(i, int) for i in ids)
    assert live_manifest(root)[0]["custom"]["vector"].get("id_type") == ("int" if are_integers else None)
    found = [cli.search(root, vector, "--top-k", 1)["results"][0]["id"] for vector in vectors]
    assert found == (ids if are_integers else list(map(str, ids)))


def test_given_centroids_and_hyperplanes_are_used_as_they_are(cli, tmp_path, rows):
    rng = np.random.default_rng(1)
    centroids = rng.normal(size=(5, 24)).astype("f4")
    np.save(tmp_path / "c.npy", centroids)
    np.save(tmp_path / "h.npy", rng.normal(size=(6, 24)))
    vectors = ["--vectors", rows.folder / "vectors.npy"]
    assert cli.one("build", tmp_path / "a", *vectors, "--centroids", tmp_path / "c.npy")["num_dbs"] == 5
    written = next((tmp_path / "a" / "vector_meta").rglob("centroids.npy"))
    assert np.array_equal(np.load(written), centroids)
    options = ["--strategy", "lsh", "--num-dbs", 7, "--hyperplanes", tmp_path / "h.npy"]
    cli.one("build", tmp_path / "b", *vectors, *options)
    assert live_manifest(tmp_path / "b")[0]["custom"]["vector"]["num_hash_bits"] == 6
    written = next((tmp_path / "b" / "vector_meta").rglob("hyperplanes.npy"))
    assert np.array_equal(np.load(written), np.load(tmp_path / "h.npy").astype("f4"))
    for dtype in (">f4", "i1", ">i8"):
        np.save(tmp_path / "c.npy", np.asfortranarray(np.round(centroids * 20).astype(dtype)))
        cli.one("build", tmp_path / dtype, *vectors, "--centroids", tmp_path / "c.npy")
        written = next((tmp_path / dtype / "vector_meta").rglob("centroids.npy"))
        assert np.array_equal(np.load(written), np.round(centroids * 20))


def test_the_seed_decides_centroids_and_hyperplanes(cli, tmp_path, rows):
    def artifact(name, strategy, seed):
        root = tmp_path / name
        cli.one("build", root, "--vectors", rows.folder / "vectors.npy", "--strategy", strategy, "--num-dbs", 4, "--seed", seed)
        return next((root / "vector_meta").rglob("*.npy")).read_bytes()

    for strategy in ("cluster", "lsh"):
        assert artifact(f"{strategy}1", strategy, 1) == artifact(f"{strategy}2", strategy, 1)
        assert artifact(f"{strategy}1", strategy, 1) != artifact(f"{strategy}3", strategy, 2)


@pytest.mark.parametrize("strategy", ["cluster", "explicit"])
def test_more_shards_than_fit_into_memory_are_built_the_same(cli, tmp_path, strategy):
    rows = Rows(tmp_path / "rows", 3000, 8, seed=4)
    np.save(rows.folder / "places.npy", np.arange(3000) % 499)
    arguments = rows.arguments(strategy)
    arguments[arguments.index("--num-dbs") + 1] = 500
    cli.one("build", tmp_path / "small", *arguments, "--max-memory", 16)
    _, placed = placed_rows(tmp_path / "small")
    found = [identifier for members in placed.values() for identifier, _, _ in members]
    assert sorted(found) == sorted(rows.ids)
    assert_exact(
        cli.search(tmp_path / "small", rows.vectors[5], "--shard-ids", ",".join(map(str, range(500)))),
        rows.expected(rows.vectors[5], list(range(3000)), "cosine"),
    )


def test_a_stream_that_is_longer_than_its_sample_is_built_in_order(cli, tmp_path, rows):
    options = ["--backend", "sqlite", "--strategy", "cluster", "--num-dbs", 3, "--training-rows", 700]
    cli.one("build", tmp_path / "root", "--jsonl", "-", *options, input="".join(rows.lines()))
    _, placed = placed_rows(tmp_path / "root")
    number = {identifier: i for i, identifier in enumerate(rows.ids)}
    members = [[number[i] for i, _, _ in found] for found in placed.values()]
    assert all(part == sorted(part) for part in members)
    assert sorted(sum(members, [])) == list(range(2500))


def test_a_build_says_where_it_belongs(cli, tmp_path, rows):
    root = tmp_path / "root with %"
    built = cli.one("build", root, *rows.arguments("cluster"), "--run-id", "run-1", "--num-probes", 2)
    meta, _ = live_manifest(root)
    assert built["run_id"] == meta["run_id"] == "run-1"
    assert built["manifest_ref"].startswith(f"file://{tmp_path}/root%20with%20%25/manifests/")
    assert meta["custom"]["vector"]["num_probes"] == 2
    assert cli.one("info", root)["total_vectors"] == 2500
    assert all(line["status"] == "ok" for line in cli.lines("verify", root))
    for folder in ("shards", "vector_meta", "runs", "manifests"):
        assert len(run_ids(root, folder)) == 1
    other = tmp_path / "other"
    cli.one("build", other, *rows.arguments("cluster"), "--s3-prefix", "s3://bucket/elsewhere/")
    assert live_manifest(other)[0]["s3_prefix"] == "s3://bucket/elsewhere"
    assert all(line["status"] == "ok" for line in cli.lines("verify", other))


def test_a_build_says_what_others_left_behind(cli, tmp_path, rows):
    (tmp_path / "root" / "shards" / "run_id=dead").mkdir(parents=True)
    done = cli.run("build", tmp_path / "root", *rows.arguments("lsh"))
    assert done.returncode == 0 and "1 runs that were never published" in done.stderr


def test_a_second_build_takes_over_and_the_first_stays(cli, tmp_path, rows):
    root = tmp_path / "root"
    first = cli.one("build", root, *rows.arguments("lsh"))
    files = all_files(root)
    second = cli.one("build", root, *rows.arguments("cluster"))
    assert [line["run_id"] for line in cli.lines("history", root)] == [second["run_id"], first["run_id"]]
    assert set(files) <= set(all_files(root))


def start_on_a_terminal(cli, *arguments, **options):
    """The command with its standard error on a terminal; gives the process and the terminal's other end."""
    ours, theirs = os.openpty()
    command = [cli.path, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True, **options)
    os.close(theirs)
    return process, ours


def read_terminal(terminal):
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # the other end was closed
        pass
    os.close(terminal)
    return shown.decode()


def test_progress_is_shown_on_a_terminal(cli, tmp_path):
    rows = Rows(tmp_path / "rows", 4000, 64, seed=2)
    process, terminal = start_on_a_terminal(cli, "build", tmp_path / "root", *rows.arguments("cluster"))
    shown = read_terminal(terminal)
    output = process.stdout.read()
    assert process.wait(timeout=60) == 0 and json.loads(output)["num_rows"] == 4000
    assert "training: 0 s" in shown and shown.endswith("\r\x1b[K")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_build_that_waits_and_leaves_nothing(cli, tmp_path, rows, number):
    lines = list(rows.lines())
    process, terminal = start_on_a_terminal(
        cli, "build", tmp_path / "root", "--jsonl", "-", "--strategy", "explicit", "--num-dbs", 3, stdin=subprocess.PIPE
    )
    process.stdin.write("".join(lines))
    process.stdin.flush()
    while not list((tmp_path / "root").glob("runs/*/run.yaml")):
        assert process.poll() is None
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    assert "CancelledError: interrupted" in read_terminal(terminal)
    process.stdin.close()
    process.stdout.close()
    assert all_files(tmp_path / "root") == []
