"""Datasets that our own writer makes, from random rows: a seed decides everything about one."""
import json
import os
import pathlib
import random
import struct
import subprocess

import numpy as np

BUILD = pathlib.Path(os.environ.get("SF_BUILD_DIR", pathlib.Path(__file__).parents[3] / "build"))
WRITE = BUILD / "tests" / "lance_write"

ID_KINDS = ["counter", "integer", "unicode", "long", "empty or short"]
PAYLOAD_KINDS = ["none", "some", "all", "tiny", "huge", "unicode"]


def make_id(kind: str, number: int, rng: random.Random) -> str | int:
    if kind == "integer":
        return rng.choice([number, -number, number << 40])
    if kind == "unicode":
        return f"ключ-{number}-" + rng.choice(["漢字", "é", "🦀", "\u0000"])
    if kind == "long":
        return f"{number}-" + "x" * rng.randrange(700)
    if kind == "empty or short":
        return "" if number == 0 else str(number)
    return f"doc-{number}"


def make_payload(kind: str, number: int, rng: random.Random) -> str | None:
    if kind == "none" or (kind == "some" and rng.random() < 0.4):
        return None
    if kind == "tiny":
        return "{}"
    if kind == "huge":
        return json.dumps({"n": number, "text": "lorem ipsum " * rng.choice([1, 1, 10, 1000, 200_000])})
    if kind == "unicode":
        return json.dumps({"text": "".join(rng.choices("äöü漢字🦀 ", k=rng.randrange(40)))}, ensure_ascii=False)
    return json.dumps({"n": number, "tags": rng.sample("abcde", 2)})


def make_rows(seed: int, count: int, dim: int, id_kind: str = "counter", payload_kind: str = "some") -> list:
    """(id, vector, payload) of each row."""
    rng = random.Random(seed)
    vectors = np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)
    return [(make_id(id_kind, i, rng), vectors[i], make_payload(payload_kind, i, rng)) for i in range(count)]


def sized(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<I", len(encoded)) + encoded


def encode(row: tuple) -> bytes:
    """A row as lance_write reads it."""
    id, vector, payload = row
    beginning = b"\1" + struct.pack("<q", id) if isinstance(id, int) else b"\0" + sized(id)
    return beginning + (b"\0" if payload is None else b"\1" + sized(payload)) + vector.tobytes()


def write(folder: pathlib.Path, rows: list, dim: int, metric: str = "cosine") -> pathlib.Path:
    """Writes a shard and returns the path of its dataset."""
    encoded = b"".join(map(encode, rows))
    subprocess.run([WRITE, folder, str(dim), metric], input=encoded, check=True, timeout=60)
    return folder / "vector_index.lance"


def expected(rows: list) -> list:
    """What a reader finds of the rows: ids are strings."""
    return [(str(id), vector.tobytes(), payload) for id, vector, payload in rows]
