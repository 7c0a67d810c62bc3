"""An adapter of a user's own: a shard is a file of pickled rows. Workers import this module."""

import pickle
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
from rows import DIM
from shardyfusion.errors import ConfigValidationError
from shardyfusion.vector import SearchResult


def folder_of(db_url):
    return Path(db_url.removeprefix("file://"))


class FolderAdapter:
    def __init__(self, db_url, local_dir, fails):
        self.db_url = db_url
        self.local_dir = Path(local_dir)
        self.local_dir.mkdir(parents=True)  # nobody else has it
        self.fails = fails
        self.num_batches = 0

    def add_batch(self, ids, vectors, payloads=None):
        assert vectors.dtype == np.float32 and vectors.shape == (len(ids), DIM) and len(ids) <= 40
        if self.fails:
            raise ConfigValidationError("the adapter has no room")
        rows = list(zip(ids.tolist(), vectors, payloads or [None] * len(ids), strict=True))
        (self.local_dir / f"{self.num_batches}").write_bytes(pickle.dumps(rows))
        self.num_batches += 1

    def flush(self):
        pass

    def seal(self):
        rows = [row for i in range(self.num_batches) for row in pickle.loads((self.local_dir / f"{i}").read_bytes())]
        folder = folder_of(self.db_url)
        folder.mkdir(parents=True)
        (folder / "rows").write_bytes(pickle.dumps(rows))

    def db_bytes(self):
        return (folder_of(self.db_url) / "rows").stat().st_size

    def close(self):
        shutil.rmtree(self.local_dir)


class FolderFactory:
    """`kind`: "fails" when rows come; "unpicklable" holds a lock."""

    def __init__(self, kind=None):
        self.fails = kind == "fails"
        self.lock = threading.Lock() if kind == "unpicklable" else None

    def __call__(self, *, db_url, local_dir, index_config):
        assert index_config.dim == DIM and str(local_dir).startswith(tempfile.gettempdir())
        return FolderAdapter(db_url, local_dir, self.fails)


class FolderReader:
    def __init__(self, *, db_url, local_dir, index_config, manifest):
        self.rows = pickle.loads((folder_of(db_url) / "rows").read_bytes())

    def search(self, query, top_k):
        vectors = np.array([row[1] for row in self.rows], dtype=np.float64)
        distances = ((vectors - np.asarray(query)) ** 2).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[:top_k]
        return [SearchResult(self.rows[i][0], float(distances[i]), payload=self.rows[i][2]) for i in nearest]

    def close(self):
        pass
