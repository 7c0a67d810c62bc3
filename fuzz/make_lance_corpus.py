"""Writes the corpora of the Lance fuzzers: parts of small real files, by every encoding that they come in.

    python make_lance_corpus.py            # needs tests/requirements-lance.txt
"""
import hashlib
import pathlib
import random
import struct
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "python" / "lance"))

import lance  # noqa: E402
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402


def fields(message: bytes):
    """(number, value) of a protobuf message: integers, or bytes."""
    position = 0

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        elif tag & 7 == 2:
            length = varint()
            yield tag >> 3, message[position : position + length]
            position += length
        else:
            position += {1: 8, 5: 4}[tag & 7]


def numbers(message: bytes, number: int) -> list[int]:
    found = []
    for n, value in fields(message):
        if n == number and isinstance(value, int):
            found.append(value)
        elif n == number:
            position, current, shift = 0, 0, 0
            for byte in value:
                current |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    found.append(current)
                    current = shift = 0
    return found


def first(message: bytes, *path: int):
    for number in path:
        message = next((v for n, v in fields(message) if n == number), b"")
    return message


def pages(file: bytes):
    """(column, rows, encoding, buffers) of every page of a data file."""
    _, table, _, _, columns = struct.unpack_from("<QQQII", file, len(file) - 40)
    for column in range(columns):
        position, size = struct.unpack_from("<QQ", file, table + column * 16)
        for number, page in fields(file[position : position + size]):
            if number != 2:
                continue
            offsets, sizes = numbers(page, 1), numbers(page, 2)
            buffers = [file[o : o + s] for o, s in zip(offsets, sizes)]
            yield column, (numbers(page, 3) or [0])[0], first(page, 4, 2, 1, 2), buffers


def put(corpus: str, data: bytes):
    folder = HERE / "corpus" / corpus
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


def table(rows: int, dim: int, item: str, kind: str, nulls: bool, compression: str | None, layout: str | None, items_null: bool) -> pa.Table:
    rng, generator = random.Random(rows), np.random.default_rng(rows)
    metadata = {}
    if compression:
        metadata["lance-encoding:compression"] = compression
    if layout:
        metadata["lance-encoding:structural-encoding"] = layout
    payloads = {
        "none": lambda i: None,
        "equal": lambda i: '{"a": 1}',
        "equal or none": lambda i: '{"a": 1}' if i % 3 else None,
        "few": lambda i: rng.choice(["red", "green", "a rather longer colour"]) if i % 5 else None,
        "runs": lambda i: ["red", "green"][i // 70 % 2],
        "all": lambda i: f'{{"n": {i}}}',
        "large": lambda i: f'{{"n": {i}, "t": "{"lorem ipsum dolor " * 20}"}}' if i % 4 else None,
        "huge": lambda i: f'{{"n": {i}, "t": "{"lorem ipsum dolor " * 2500}"}}',
    }[kind]
    flat = generator.standard_normal(rows * dim).astype(item)
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(flat, mask=generator.random(flat.size) < 0.1 if items_null else None), dim, mask=pa.array(generator.random(rows) < 0.2) if nulls else None
    )
    schema = pa.schema([pa.field("id", pa.string(), metadata=metadata), pa.field("vector", vectors.type), pa.field("payload", pa.string(), metadata=metadata)])
    return pa.table([pa.array([f"doc-{i}" for i in range(rows)]), vectors, pa.array([payloads(i) for i in range(rows)], pa.string())], schema=schema)


ITEM_TYPES = {"float16": 0, "float32": 2, "float64": 3}


def put_pages(file: bytes, version: str, dim: int, item: str, seen: set):
    for column, rows, encoding, buffers in pages(file):
        key = (version, column, hashlib.sha1(encoding).digest(), len(buffers))
        if column > 2 or key in seen or any(len(b) > 20000 for b in buffers):
            continue
        seen.add(key)
        what = (column == 1) | (version != "2.0") << 1 | ITEM_TYPES[item] << 4
        head = struct.pack("<BBHHB", what, dim, rows, len(encoding), len(buffers))
        put("lance_page", head + b"".join(struct.pack("<H", len(b)) for b in buffers) + encoding + b"".join(buffers))


def make_pages():
    seen = set()
    plans = [
        (rows, dim, item, kind, nulls, compression, layout, items_null)
        for rows, dim, item in [(3, 4, "float32"), (130, 2, "float32"), (40, 70, "float32"), (20, 4, "float16"), (20, 4, "float64")]
        for kind in ["none", "equal", "equal or none", "few", "runs", "all", "large", "huge"]
        for nulls, compression, layout, items_null in [(False, None, None, False), (True, "zstd", None, False), (True, "lz4", "fullzip", True), (False, "fsst", "miniblock", True)]
        if (kind != "huge" or rows == 3) and not (compression == "fsst" and kind in ("none", "equal or none", "few", "large"))
    ]
    for version in ["2.0", "2.1", "2.2"]:
        for number, plan in enumerate(plans):
            with tempfile.TemporaryDirectory() as folder:
                lance.write_dataset(table(*plan), folder, data_storage_version=version)
                for path in pathlib.Path(folder).glob("data/*.lance"):
                    file = path.read_bytes()
                    put_pages(file, version, plan[1], plan[2], seen)
                    if plan[1] == 4 and plan[2] == "float32" and number % 3 == 0 and len(file) < 20000:
                        put("lance_file", file)


def make_datasets():
    """Manifests and deletions."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (version, v2) in enumerate([("2.0", False), ("2.1", True), ("2.2", True), ("2.0", True)]):
            path = f"{folder}/{number}"
            dataset = lance.write_dataset(table(50, 4, "float32", "few", False, None, None, False), path, data_storage_version=version, enable_v2_manifest_paths=v2)
            dataset = lance.write_dataset(table(20, 4, "float32", "all", False, None, None, False), path, mode="append")
            dataset.delete("id IN ('doc-3', 'doc-7')")
            dataset.delete("id IN ('doc-4', 'doc-8', 'doc-9', 'doc-10')")
            dataset.add_columns({"later": "1"})
            for manifest in pathlib.Path(path).glob("_versions/*.manifest"):
                put("lance_manifest", manifest.read_bytes())
            for deletions in pathlib.Path(path).glob("_deletions/*"):
                put("lance_deletions", deletions.read_bytes())
        path = f"{folder}/many"
        ids = pa.array([str(i) for i in range(70000)])
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(140000, np.float32)), 2)
        dataset = lance.write_dataset(pa.table({"id": ids, "vector": vectors}), path)
        dataset.delete("cast(id as int) % 11 < 1")
        for deletions in pathlib.Path(path).glob("_deletions/*.bin"):
            put("lance_deletions", deletions.read_bytes())
    runs = struct.pack("<IB", 12347 | 1 << 16, 0b01) + struct.pack("<HHHH", 0, 99, 1, 2) + struct.pack("<H4H", 2, 5, 49, 100, 49) + struct.pack("<3H", 1, 2, 65535)
    put("lance_deletions", runs)
    put("lance_deletions", struct.pack("<II", 12346, 1) + struct.pack("<HHI", 0, 2, 16) + struct.pack("<3H", 1, 2, 4000))
    put("lance_deletions", struct.pack("<II", 12346, 1) + struct.pack("<HHI", 0, 4999, 16) + b"\x55" * 8192)


def make_decoder_inputs():
    rng = random.Random(1)
    head = lambda which, a, b, count: struct.pack("<BBBH", which, a, b, count)
    for value_bits, a in [(8, 0), (16, 1), (32, 2), (64, 3)]:
        width = value_bits // 2 + 1
        block = rng.randbytes(128 * width)
        put("lance_decoders", head(0, a, width, 0) + block)
        put("lance_decoders", head(1, a, 0, 1000) + width.to_bytes(value_bits // 8, "little") + block)
        put("lance_decoders", head(2, a, width, 1500) + block * 2)
        put("lance_decoders", head(2, a, width, 1034) + block + rng.randbytes(10 * value_bits // 8))
        put("lance_decoders", head(6, a, 0, 30) + rng.randbytes(30 * value_bits // 8))
    put("lance_decoders", head(3, 1, 13, 5) + rng.randbytes(4))
    symbols = [b"ab", b"lorem ip", b"x"]
    symbol_table = struct.pack("<II", 1 << 24 | len(symbols), 0x46535354) + b"".join(s.ljust(8, b"\0") for s in symbols) + bytes(len(s) for s in symbols)
    put("lance_decoders", head(4, 0, 0, 0) + symbol_table.ljust(8 + 256 * 9, b"\0") + b"\0\1\2\xff\xfe\1")
    put("lance_decoders", head(5, 2, 205, 60) + struct.pack("<4I", 1, 2, 3, 4) + bytes([10, 20, 0, 30]))
    put("lance_decoders", head(7, 0, 0, 0) + struct.pack("<I", 5) + b"\x50hello")
    compressed = pa.Codec("zstd").compress(b"payload " * 50).to_pybytes()
    put("lance_decoders", head(8, 0, 0, 0) + compressed)
    put("lance_decoders", head(8, 0, 0, 0) + struct.pack("<Q", 400) + compressed)
    put("lance_decoders", head(9, 0, 0, 0) + "äöü漢字🦀".encode())
    put("lance_decoders", head(10, 0, 0, 0) + struct.pack("<IIIII", 2, 8, 5, 0, 5) + b"hello")


if __name__ == "__main__":
    make_pages()
    make_datasets()
    make_decoder_inputs()
