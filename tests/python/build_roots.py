"""What a root holds after builds, seen without the library: manifests and shards by SQLite, vectors by NumPy."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import snapshot_builder
import sqlite_vec

sqlite3 = snapshot_builder.sqlite3


def live_manifest(root: pathlib.Path):
    """The manifest that _CURRENT points to: (build_meta with its JSON parsed, shards by db_id)."""
    pointer = json.loads((root / "_CURRENT").read_text())
    name = pointer["manifest_ref"].rsplit("/", 2)[-2]
    db = sqlite3.connect(root / "manifests" / name / "manifest")
    db.row_factory = sqlite3.Row
    meta = dict(db.execute("SELECT * FROM build_meta").fetchone())
    meta["custom"] = json.loads(meta["custom"])
    meta["sharding"] = json.loads(meta["sharding"])
    shards = {row["db_id"]: dict(row) for row in db.execute("SELECT * FROM shards")}
    db.close()
    assert meta["run_id"] == pointer["run_id"]
    return meta, shards


def shard_folder(root, shard, meta):
    assert shard["db_url"].startswith(meta["s3_prefix"] + "/")
    return root / shard["db_url"][len(meta["s3_prefix"]) + 1 :]


def open_shard(path, read_only=False):
    """A shard.db with the extension that its tables belong to."""
    db = sqlite3.connect(f"file:{path}?mode={'ro' if read_only else 'rw'}", uri=True)
    db.enable_load_extension(True)
    sqlite_vec.load(db)
    return db


def shard_rows(path):
    """(id, vector, payload) of each row, in the order of rowids, as the extension gives them."""
    db = open_shard(path, read_only=True)
    rows = db.execute(
        "SELECT m.original_id, v.embedding, p.payload FROM vec_index v "
        "JOIN vec_id_map m ON m.internal_id = v.rowid LEFT JOIN vec_payloads p ON p.rowid = v.rowid ORDER BY v.rowid"
    ).fetchall()
    db.close()
    return [
        (json.loads(identifier)["v"], np.frombuffer(vector, "<f4"), payload and json.loads(payload))
        for identifier, vector, payload in rows
    ]


def all_files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def run_ids(root, folder):
    """The run ids that have something below a folder of the root."""
    return {path.name.split("run_id=")[1] for path in (root / folder).glob("*run_id=*")}
