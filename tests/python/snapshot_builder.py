"""Writes snapshots in the production format with the real sqlite-vec extension, and searches them by brute force.

The tests take from here what a reader must serve. Nothing in it is shared with the reader: scores and routes are
computed with NumPy from the vectors that were put in.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import uuid

import numpy as np
import sqlite_vec
import xxhash

try:
    import sqlite3

    sqlite3.connect(":memory:").enable_load_extension(True)
except (ImportError, AttributeError):  # a Python that was built without loadable extensions
    import pysqlite3 as sqlite3

BUILD_META = """CREATE TABLE build_meta (
    run_id TEXT NOT NULL, created_at TEXT NOT NULL, num_dbs INTEGER NOT NULL, s3_prefix TEXT NOT NULL,
    key_col TEXT NOT NULL, sharding TEXT NOT NULL, db_path_template TEXT NOT NULL, shard_prefix TEXT NOT NULL,
    format_version INTEGER NOT NULL, key_encoding TEXT NOT NULL, custom TEXT NOT NULL DEFAULT '{}')"""
SHARDS = """CREATE TABLE shards (
    db_id INTEGER NOT NULL PRIMARY KEY, db_url TEXT, attempt INTEGER NOT NULL, row_count INTEGER NOT NULL,
    db_bytes INTEGER NOT NULL, min_key TEXT, max_key TEXT, checkpoint_id TEXT,
    writer_info TEXT NOT NULL DEFAULT '{}')"""
SHARDING = {
    "strategy": "hash",
    "hash_algorithm": "xxh3_64",
    "cel_expr": None,
    "cel_columns": None,
    "routing_values": None,
}


@dataclasses.dataclass
class Shard:
    """The rows of a shard, in order of insertion. `deleted` are positions of rows that are inserted, then deleted."""

    ids: list
    vectors: np.ndarray
    payloads: list = None  # a dict, a text that is stored as it is, or None, for each row
    deleted: frozenset = frozenset()
    mapped: bool = True  # without a map of ids, the rowid is the id

    def __post_init__(self):
        self.vectors = np.ascontiguousarray(self.vectors, dtype=np.float32)
        if self.payloads is None:
            self.payloads = [None] * len(self.ids)

    def live(self):
        return [i for i in range(len(self.ids)) if i not in self.deleted]


@dataclasses.dataclass
class Snapshot:
    """What was published: enough to search it by brute force."""

    root: pathlib.Path
    run_id: str
    manifest_ref: str
    manifest_path: pathlib.Path
    s3_prefix: str
    shards: list
    metric: str
    dim: int
    vector: dict
    centroids: np.ndarray = None
    hyperplanes: np.ndarray = None

    def shard_folder(self, db_id):
        return self.root / shard_key(self.run_id, db_id)

    def shard_file(self, db_id):
        return self.shard_folder(db_id) / "shard.db"

    def shard_url(self, db_id):
        return f"{self.s3_prefix}/{shard_key(self.run_id, db_id)}"

    def artifact(self, name):
        return self.root / artifact_key(self.run_id, name)

    # ------------------------------------------------------------------------------------------------ Brute force

    def route(self, query, num_probes=None, routing_context=None):
        probes = num_probes or self.vector.get("num_probes", 1)
        strategy = self.vector.get("sharding_strategy", "explicit")
        if strategy == "cluster":
            return cluster_route(np.asarray(query, np.float64), self.centroids, self.metric, probes)
        if strategy == "lsh":
            return lsh_route(np.asarray(query, np.float64), self.hyperplanes, len(self.shards), probes)
        assert strategy == "cel" and self.vector["cel_expr"] == "token", "other expressions are not evaluated here"
        values = self.vector.get("routing_values")
        return [values.index(routing_context["token"]) if values else routing_context["token"]]

    def search(self, query, top_k=10, shard_ids=None, **routing):
        """[(id, score, payload)], nearest first; equal scores by shard, then by row."""
        ids = self.route(query, **routing) if shard_ids is None else shard_ids
        rows = []
        for db_id in sorted({i for i in ids if 0 <= i < len(self.shards)}):
            shard = self.shards[db_id]
            if shard is None:
                continue
            live = shard.live()
            scores = brute_scores(query, shard.vectors[live], self.metric)
            rows += [(score, db_id, row) for score, row in zip(scores, live)]
        rows.sort()
        found = []
        for score, db_id, row in rows[:top_k]:
            payload = self.shards[db_id].payloads[row]
            found.append(
                (self.shards[db_id].ids[row], score, json.loads(payload) if isinstance(payload, str) else payload)
            )
        return found


def brute_scores(query, vectors, metric):
    query = np.asarray(query, np.float32).astype(np.float64)
    vectors = vectors.astype(np.float64)
    if metric == "l2":
        return np.sqrt(((vectors - query) ** 2).sum(axis=1))
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norms > 0, 1 - (vectors @ query) / norms, 1.0)


def cluster_route(query, centroids, metric, probes):
    centroids = centroids.astype(np.float64)
    if metric == "l2":
        distances = ((centroids - query) ** 2).sum(axis=1)
    elif metric == "dot_product":
        distances = -(centroids @ query)
    elif not query.any():
        distances = np.ones(len(centroids))
    else:
        norms = np.linalg.norm(centroids, axis=1) * np.linalg.norm(query)
        distances = 1 - (centroids @ query) / (norms + 1e-10)
    return np.argsort(distances, kind="stable")[:probes].tolist()


def lsh_route(query, hyperplanes, num_dbs, probes):
    bits = hyperplanes.astype(np.float64) @ query > 0
    code = sum(1 << i for i, bit in enumerate(bits) if bit)
    route = [code % num_dbs]
    for i in range(len(bits)):
        if len(route) >= probes:
            break
        shard = (code ^ (1 << i)) % num_dbs
        if shard not in route:
            route.append(shard)
    return route


def shard_hash(token: str) -> int:
    return xxhash.xxh3_64_intdigest(token.encode())


# -------------------------------------------------------------------------------------------------------------- Writing


def shard_key(run_id, db_id):
    return f"shards/run_id={run_id}/db={db_id:05d}/attempt=00"


def artifact_key(run_id, name):
    return f"vector_meta/run_id={run_id}/{name}.npy"


def stored_id(identifier):
    kind = "str" if isinstance(identifier, str) else "int"
    return json.dumps({"v": identifier, "t": kind})


def write_shard(path: pathlib.Path, shard: Shard, metric: str, page_size: int = 4096):
    """One `shard.db`, as the writer's library makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path)
    db.enable_load_extension(True)
    sqlite_vec.load(db)
    db.execute(f"PRAGMA page_size = {page_size}")
    dim = shard.vectors.shape[1]
    db.execute("CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID")
    db.execute(f"CREATE VIRTUAL TABLE vec_index USING vec0(embedding float[{dim}] distance_metric={metric})")
    db.execute("CREATE TABLE vec_payloads (rowid INTEGER PRIMARY KEY, payload TEXT NOT NULL)")
    db.execute("CREATE TABLE vec_id_map (internal_id INTEGER PRIMARY KEY, original_id TEXT NOT NULL)")
    rowids = range(len(shard.ids)) if shard.mapped else shard.ids
    for rowid, identifier, vector, payload in zip(rowids, shard.ids, shard.vectors, shard.payloads):
        db.execute("INSERT INTO vec_index(rowid, embedding) VALUES (?, ?)", (rowid, vector.tobytes()))
        if shard.mapped:
            db.execute("INSERT INTO vec_id_map VALUES (?, ?)", (rowid, stored_id(identifier)))
        if payload is not None:
            text = payload if isinstance(payload, str) else json.dumps(payload)
            db.execute("INSERT INTO vec_payloads VALUES (?, ?)", (rowid, text))
    for position in shard.deleted:
        db.execute("DELETE FROM vec_index WHERE rowid = ?", (list(rowids)[position],))
    db.commit()
    db.close()


def write_manifest(path: pathlib.Path, meta: dict, rows: list[dict]):
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path)
    db.execute(BUILD_META)
    db.execute(SHARDS)
    for table, records in (("build_meta", [meta]), ("shards", rows)):
        for record in records:
            marks = ", ".join("?" * len(record))
            db.execute(f"INSERT INTO {table} ({', '.join(record)}) VALUES ({marks})", list(record.values()))
    db.commit()
    db.close()


def write_current(root: pathlib.Path, manifest_ref: str, run_id: str, updated_at: str, **changes):
    pointer = {
        "manifest_ref": manifest_ref,
        "manifest_content_type": "application/x-sqlite3",
        "run_id": run_id,
        "updated_at": updated_at,
        "format_version": 1,
    }
    (root / "_CURRENT").write_text(json.dumps(pointer | changes))


def publish(
    root,
    shards,
    *,
    metric="cosine",
    strategy="explicit",
    num_probes=1,
    centroids=None,
    hyperplanes=None,
    cel=None,
    dim=None,
    page_size=4096,
    s3_prefix=None,
    timestamp="2026-01-02T03:04:05.000006Z",
    run_id=None,
    absent=(),
    set_current=True,
    vector_changes=None,
    meta_changes=None,
):
    """Publishes one run below `root` and points `_CURRENT` to it.

    A shard that is None, or has no rows, gets no file: its row has `db_url` NULL, or is missing when it is in `absent`.
    `vector_changes` and `meta_changes` override fields of custom["vector"] and build_meta; a None in the former
    removes.
    """
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    run_id = run_id or str(uuid.uuid4())
    s3_prefix = s3_prefix or f"file://{root}"
    dim = dim or next(shard.vectors.shape[1] for shard in shards if shard is not None)
    vector = {
        "dim": dim,
        "metric": metric,
        "index_type": "hnsw",
        "quantization": None,
        "total_vectors": sum(len(shard.live()) for shard in shards if shard is not None),
        "sharding_strategy": strategy,
        "num_probes": num_probes,
    }
    for name, array in (("centroids", centroids), ("hyperplanes", hyperplanes)):
        if array is not None:
            key = artifact_key(run_id, name)
            (root / key).parent.mkdir(parents=True, exist_ok=True)
            np.save(root / key, array)
            vector[f"{name}_ref"] = f"{s3_prefix}/{key}"
    if hyperplanes is not None:
        vector["num_hash_bits"] = len(hyperplanes)
    vector |= cel or {}
    vector |= vector_changes or {}
    vector = {key: value for key, value in vector.items() if key == "quantization" or value is not None}

    rows = []
    for db_id, shard in enumerate(shards):
        is_empty = shard is None or len(shard.ids) == 0
        if not is_empty:
            write_shard(root / shard_key(run_id, db_id) / "shard.db", shard, metric, page_size)
        if db_id in absent:
            continue
        rows.append(
            {
                "db_id": db_id,
                "db_url": None if is_empty else f"{s3_prefix}/{shard_key(run_id, db_id)}",
                "attempt": 0,
                "row_count": 0 if is_empty else len(shard.live()),
                "db_bytes": 0 if is_empty else (root / shard_key(run_id, db_id) / "shard.db").stat().st_size,
                "checkpoint_id": None if is_empty else uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{db_id}").hex,
            }
        )
    meta = {
        "run_id": run_id,
        "created_at": timestamp,
        "num_dbs": len(shards),
        "s3_prefix": s3_prefix,
        "key_col": "id",
        "sharding": json.dumps(SHARDING),
        "db_path_template": "db={db_id:05d}",
        "shard_prefix": "shards",
        "format_version": 4,
        "key_encoding": "u64be",
        "custom": json.dumps({"vector": vector}),
    } | (meta_changes or {})
    manifest_key = f"manifests/{timestamp}_run_id={run_id}/manifest"
    write_manifest(root / manifest_key, meta, rows)
    if set_current:
        write_current(root, f"{s3_prefix}/{manifest_key}", run_id, timestamp)
    return Snapshot(
        root=root,
        run_id=run_id,
        manifest_ref=f"{s3_prefix}/{manifest_key}",
        manifest_path=root / manifest_key,
        s3_prefix=s3_prefix,
        shards=list(shards),
        metric=metric,
        dim=dim,
        vector=vector,
        centroids=centroids,
        hyperplanes=hyperplanes,
    )


# ----------------------------------------------------------------------------------------------------- Random snapshots

STRANGE_IDS = [
    -(2**63),
    2**63 - 1,
    0,
    -1,
    "",
    "0",
    "漢字 ünïcødé 🦆",
    "a\u0000b",
    'quote " back \\ slash / line\nfeed \t tab \u001b[31m',
    "long" * 20_000,
]
STRANGE_PAYLOADS = [
    {},
    {"漢字": "ünïcødé 🦆", "line": "a\nb", "quote": '"'},
    {"nested": {"list": [1, 2.5, None, True, [[]], {}], "deep": {"er": {"est": -1e300}}}},
    {"large": "x" * 150_000},
    '{ "blanks" :\n [ 1 ,\t2 ] , "text" : " a : b " }',
    {"integer": 2**63, "small": 5e-324},
]


def random_ids(rng, count, kind):
    if kind == "int":
        return [int(i) for i in rng.choice(10**12, count, replace=False) - 5 * 10**11]
    if kind == "str":
        return [f"id/{i}/{rng.integers(10**9)}" for i in range(count)]
    return STRANGE_IDS[:count] + [f"more-{i}" for i in range(count - len(STRANGE_IDS))]


def random_payloads(rng, count, kind):
    if kind == "none":
        return [None] * count
    if kind == "strange":
        return [STRANGE_PAYLOADS[i % len(STRANGE_PAYLOADS)] if i % 3 else None for i in range(count)]
    return [{"row": i, "word": f"w{rng.integers(1000)}"} for i in range(count)]


def random_snapshot(
    root,
    seed,
    *,
    dim=16,
    num_shards=4,
    rows=200,
    metric="cosine",
    strategy="cluster",
    ids="int",
    payloads="plain",
    deleted=0.0,
    num_probes=2,
    **options,
):
    """Vectors around one centre for each shard; every row lies in the shard that its own route begins with."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(num_shards, dim)).astype(np.float32)
    vectors = (centres[rng.integers(num_shards, size=rows)] + rng.normal(size=(rows, dim)) * 0.7).astype(np.float32)
    hyperplanes = rng.normal(size=(max(3, num_shards.bit_length() + 1), dim)).astype(np.float32)
    if strategy == "cluster":
        options["centroids"] = centres
        place = [cluster_route(v.astype(np.float64), centres, metric, 1)[0] for v in vectors]
    elif strategy == "lsh":
        options["hyperplanes"] = hyperplanes
        place = [lsh_route(v.astype(np.float64), hyperplanes, num_shards, 1)[0] for v in vectors]
    else:
        place = rng.integers(num_shards, size=rows).tolist()
    if strategy == "cel":
        options.setdefault(
            "cel",
            {
                "cel_expr": "token",
                "cel_columns": {"token": "string"},
                "routing_values": [f"t{i}" for i in range(num_shards)],
            },
        )
    all_ids = random_ids(rng, rows, ids)
    all_payloads = random_payloads(rng, rows, payloads)
    shards = []
    for db_id in range(num_shards):
        mine = [i for i in range(rows) if place[i] == db_id]
        gone = frozenset(i for i in range(len(mine)) if rng.random() < deleted)
        if not mine:
            shards.append(None)
            continue
        shards.append(Shard([all_ids[i] for i in mine], vectors[mine], [all_payloads[i] for i in mine], gone))
    return publish(root, shards, metric=metric, strategy=strategy, num_probes=num_probes, dim=dim, **options)
