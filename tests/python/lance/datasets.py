"""Random Lance datasets with the schema of a shard: a seed decides everything about one."""
import dataclasses
import json
import random
import string

import lance
import numpy as np
import pyarrow as pa

VERSIONS = ["2.0", "2.1", "2.2"]
DIMENSIONS = [1, 2, 3, 7, 8, 16, 31, 32, 48, 63, 64, 65, 100, 128, 384, 768, 1536, 4096]
# Components of a dataset, at most: what keeps 200 of them quick.
MAX_COMPONENTS = 200_000


@dataclasses.dataclass
class Plan:
    seed: int
    version: str
    dim: int
    rows: int
    item_type: str
    id_kind: str
    payload_kind: str
    null_vectors: float
    null_items: float
    not_finite: float
    adds: int
    edits: list
    compression: str | None
    layout: str | None
    v2_manifests: bool
    stable_row_ids: bool
    rows_per_file: int
    batch_rows: int
    wide_strings: bool
    extra_columns: bool


def plan(seed: int) -> Plan:
    rng = random.Random(seed)
    dim = rng.choice(DIMENSIONS)
    rows = min(rng.choice([1, 2, 5, 10, 99, 100, 101, 500, 1000, 1024, 1025, 3000, 5000, 20000]), max(1, MAX_COMPONENTS // dim))
    edits = [rng.choice(["delete few", "delete many", "update", "compact", "add column", "delete all but one"]) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    payload_kind = rng.choice(["no column", "none", "some", "all", "equal", "equal or none", "few", "tiny", "large", "huge", "unicode", "empty", "mixed sizes"])
    if payload_kind in ("large", "huge"):
        rows = min(rows, {"large": 1500, "huge": 150}[payload_kind])
    return Plan(
        seed=seed,
        version=VERSIONS[seed % len(VERSIONS)],
        dim=dim,
        rows=rows,
        item_type=rng.choices(["float32", "float16", "float64"], [16, 2, 2])[0],
        id_kind=rng.choice(["counter", "counter", "padded", "hex", "unicode", "long", "empty or short"]),
        payload_kind=payload_kind,
        null_vectors=rng.choice([0, 0, 0, 0.01, 0.3, 1.0]) if rng.random() < 0.5 else 0,
        null_items=rng.choice([0, 0.02]) if rng.random() < 0.15 else 0,
        not_finite=rng.choice([0, 0.01]) if rng.random() < 0.2 else 0,
        adds=rng.choice([1, 1, 2, 3, 7]),
        edits=edits,
        compression=rng.choices([None, "zstd", "lz4", "fsst", "none"], [10, 2, 2, 2, 1])[0],
        layout=rng.choices([None, "miniblock", "fullzip"], [12, 1, 2])[0],
        v2_manifests=rng.random() < 0.5,
        stable_row_ids=rng.random() < 0.2,
        rows_per_file=rng.choice([10**6, 10**6, 700]),
        batch_rows=rng.choice([10**6, 333, 64]),
        wide_strings=rng.random() < 0.1,
        extra_columns=rng.random() < 0.2,
    )


def make_id(kind: str, number: int, rng: random.Random) -> str:
    if kind == "counter":
        return f"doc-{number}"
    if kind == "padded":
        return f"{number:08d}"
    if kind == "hex":
        return f"{rng.getrandbits(128):032x}"
    if kind == "unicode":
        return f"ключ-{number}-" + rng.choice(["漢字", "é", "🦀", "\u0000", "x"])
    if kind == "long":
        return f"{number}-" + "".join(rng.choices(string.ascii_lowercase, k=rng.choice([250, 300, 700])))
    return "" if number == 0 else str(number)


def make_payload(kind: str, number: int, rng: random.Random) -> str | None:
    if kind in ("no column", "none") or (kind in ("some", "equal or none") and rng.random() < 0.4):
        return None
    if kind in ("equal", "equal or none"):
        return '{"source": "the same for all"}'
    if kind == "few":
        return json.dumps({"colour": rng.choice(["red", "green", "blue", "no colour at all"])})
    if kind == "tiny":
        return "1"
    if kind == "empty":
        return rng.choice(["", "{}"])
    if kind == "large":
        return json.dumps({"n": number, "text": "".join(rng.choices(string.ascii_letters, k=rng.randrange(300, 3000)))})
    if kind == "huge":
        return json.dumps({"n": number, "text": rng.choice(["ab", "lorem ipsum "]) * rng.randrange(1000, 20000)})
    if kind == "unicode":
        return json.dumps({"n": number, "text": "".join(rng.choices("äöü漢字🦀 ", k=rng.randrange(40)))}, ensure_ascii=False)
    if kind == "mixed sizes":
        return json.dumps({"n": number, "text": "y" * rng.choice([0, 1, 10, 100, 1000, 5000])})
    return json.dumps({"n": number, "tags": rng.sample(["a", "b", "c", "d", "e"], 2), "score": rng.random()})


def make_vectors(p: Plan, rows: int, generator: np.random.Generator) -> pa.Array:
    values = generator.standard_normal((rows, p.dim)).astype(np.float32)
    if generator.random() < 0.2:
        values = np.repeat(values[:1], rows, axis=0)
    values[generator.random(rows) < 0.02] = 0
    bad = generator.random(rows) < p.not_finite
    values[bad, 0] = generator.choice([np.nan, np.inf, -np.inf])
    flat = values.reshape(-1).astype(p.item_type)
    item_mask = generator.random(flat.size) < p.null_items if p.null_items else None
    mask = pa.array(generator.random(rows) < p.null_vectors) if p.null_vectors else None
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, mask=item_mask), p.dim, mask=mask)


def make_table(p: Plan, first: int, rows: int) -> pa.Table:
    rng = random.Random(p.seed * 1000 + first)
    text = pa.large_string() if p.wide_strings else pa.string()
    metadata = {}
    if p.compression:
        metadata["lance-encoding:compression"] = p.compression
    if p.layout:
        metadata["lance-encoding:structural-encoding"] = p.layout
    vectors = make_vectors(p, rows, np.random.default_rng([p.seed, first]))
    fields = [pa.field("id", text, metadata=metadata), pa.field("vector", vectors.type), pa.field("payload", text, metadata=metadata)]
    columns = [
        pa.array([make_id(p.id_kind, first + i, rng) for i in range(rows)], text),
        vectors,
        pa.array([make_payload(p.payload_kind, first + i, rng) for i in range(rows)], text),
    ]
    if p.payload_kind == "no column":
        del fields[2], columns[2]
    if p.extra_columns:
        fields.insert(0, pa.field("kind", pa.int64()))
        columns.insert(0, pa.array(range(rows), pa.int64()))
        fields.append(pa.field("tags", pa.list_(pa.string())))
        columns.append(pa.array([["x"] * (i % 3) for i in range(rows)], pa.list_(pa.string())))
    return pa.table(columns, schema=pa.schema(fields))


def apply(dataset: lance.LanceDataset, edit: str, p: Plan) -> lance.LanceDataset:
    total = dataset.count_rows()
    if total == 0:
        return dataset
    rng = random.Random(p.seed)
    ids = dataset.to_table(columns=["id"])["id"].to_pylist()
    quoted = lambda chosen: ", ".join("'" + i.replace("'", "''") + "'" for i in chosen)
    usable = [i for i in ids if "\u0000" not in i]
    if edit == "delete few" and usable:
        dataset.delete(f"id IN ({quoted(rng.sample(usable, min(len(usable), 3)))})")
    elif edit == "delete many" and usable:
        dataset.delete(f"id IN ({quoted(rng.sample(usable, max(1, len(usable) * 2 // 3)))})")
    elif edit == "delete all but one" and usable:
        dataset.delete(f"id != '{usable[0]}'")
    elif edit == "update" and usable and "payload" in dataset.schema.names:
        dataset.update({"payload": "'updated'"}, where=f"id IN ({quoted(rng.sample(usable, min(len(usable), 5)))})")
    elif edit == "compact":
        dataset.optimize.compact_files()
    elif edit == "add column" and "later" not in dataset.schema.names:
        dataset.add_columns({"later": "1"})
    return dataset


def write(p: Plan, path: str) -> lance.LanceDataset:
    first = 0
    dataset = None
    for number in range(p.adds):
        rows = p.rows // p.adds + (1 if number < p.rows % p.adds else 0)
        if rows == 0:
            continue
        table = make_table(p, first, rows)
        reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=p.batch_rows))
        options = {"mode": "append"} if dataset is not None else {
            "data_storage_version": p.version,
            "enable_v2_manifest_paths": p.v2_manifests,
            "enable_stable_row_ids": p.stable_row_ids,
        }
        dataset = lance.write_dataset(reader, path, max_rows_per_file=p.rows_per_file, **options)
        first += rows
    for edit in p.edits:
        dataset = apply(dataset, edit, p)
    return lance.dataset(path)
