"""The rows of a dataset, as our reader and as lance itself yield them."""
import json
import os
import pathlib
import subprocess

import lance
import numpy as np

BUILD = pathlib.Path(os.environ.get("SF_BUILD_DIR", pathlib.Path(__file__).parents[3] / "build"))
DUMP = BUILD / "tests" / "lance_dump"
# The address sanitizer reserves more address space than any limit of ours.
IS_SANITIZED = DUMP.exists() and b"__asan_init" in DUMP.read_bytes()


def dump(dataset: pathlib.Path, dim: int, cache: pathlib.Path, metric: str = "cosine", *flags: str) -> subprocess.CompletedProcess:
    """Runs the reader over <root>/<key>/vector_index.lance."""
    command = [DUMP, dataset.parent.parent, dataset.parent.name, str(dim), metric, cache / "shard_00000", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def our_rows(dataset: pathlib.Path, dim: int, cache: pathlib.Path, metric: str = "cosine", *flags: str) -> list:
    """(id, vector's bytes, payload) of every row that can be found, in order."""
    done = dump(dataset, dim, cache, metric, *flags)
    assert done.returncode == 0, done.stderr
    rows = []
    for line in done.stdout.splitlines():
        row = json.loads(line)
        payload = row["payload"]
        rows.append((bytes.fromhex(row["id"]).decode(), bytes.fromhex(row["vector"]), None if payload is None else bytes.fromhex(payload).decode()))
    return rows


def their_vectors(column) -> list:
    vectors = []
    for chunk in column.chunks:
        for value in chunk:
            items = value.values if value.is_valid else None
            if items is None or items.null_count:
                vectors.append(None)
            else:
                with np.errstate(over="ignore"):
                    vectors.append(items.to_numpy(zero_copy_only=False).astype(np.float32))
    return vectors


def their_rows(dataset: pathlib.Path) -> list:
    """The same by lance, without the rows that have no vector to be found by: null ones, and those that are not finite."""
    table = lance.dataset(str(dataset)).to_table()
    ids = table["id"].to_pylist()
    payloads = table["payload"].to_pylist() if "payload" in table.column_names else [None] * len(ids)
    rows = zip(ids, their_vectors(table["vector"]), payloads)
    return [(i, v.tobytes(), p) for i, v, p in rows if v is not None and np.isfinite(v).all()]
