"""A shard that a writer adapter writes: one of the caller's own (`adapter_factory`), or the library's for a single shard. Needs NumPy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy

from shardyfusion.manifest import RequiredShardMeta

if TYPE_CHECKING:
    from typing import Self

__all__ = ["AdapterShard", "shard_url"]


def shard_url(root: str, shard_prefix: str, run_id: str, db_path_template: str, db_id: int, attempt: int = 0) -> str:
    """Returns where an attempt at a shard is stored. `root` is a URL."""
    return f"{root}/{shard_prefix}/run_id={run_id}/{db_path_template.format(db_id=db_id)}/attempt={attempt:02d}"


class AdapterShard:
    """A shard that is being written, with the rows that its adapter does not have yet. `acquire` is called before each batch."""

    def __init__(
        self,
        factory: Callable[..., Any],
        db_id: int,
        db_url: str,
        local_root: Path,
        index_config: Any,
        batch_size: int,
        acquire: Callable[[], object],
        attempt: int = 0,
    ) -> None:
        self.db_id = db_id
        self.attempt = attempt
        self.db_url = db_url
        self.row_count = 0
        self.db_bytes = 0
        self.checkpoint_id: str | None = None
        self._batch_size = batch_size
        self._acquire = acquire
        self._stack = ExitStack()
        self._ids: list[Any] = []
        self._vectors: list[Any] = []
        self._payloads: list[Any] = []
        adapter = factory(db_url=db_url, local_dir=local_root / f"shard_{db_id:05d}", index_config=index_config)
        if hasattr(adapter, "__enter__"):
            adapter = self._stack.enter_context(adapter)
        else:
            self._stack.callback(adapter.close)
        self._adapter = adapter

    def add(self, row_id: Any, vector: Any, payload: Any) -> None:
        """Adds a row: `vector` is an array of float32, `payload` a dictionary or None."""
        self._ids.append(row_id)
        self._vectors.append(vector)
        self._payloads.append(payload)
        self.row_count += 1
        if len(self._ids) >= self._batch_size:
            self._flush()

    def _flush(self) -> None:
        """Gives the adapter the rows that wait."""
        if not self._ids:
            return
        self._acquire()
        is_plain = all(isinstance(each, int) and -(2**63) <= each < 2**63 for each in self._ids)
        ids = numpy.array(self._ids, dtype=numpy.int64 if is_plain else object)
        payloads: list[dict[str, Any]] | None = None
        if any(payload is not None for payload in self._payloads):
            payloads = [{} if payload is None else payload for payload in self._payloads]
        self._adapter.add_batch(ids, numpy.stack(self._vectors), payloads)
        self._ids, self._vectors, self._payloads = [], [], []

    def finish(self) -> None:
        """Completes the shard."""
        self._flush()
        self._adapter.flush()
        self._adapter.seal()
        self.checkpoint_id = uuid4().hex
        self.db_bytes = int(self._adapter.db_bytes())

    def describe(self) -> RequiredShardMeta:
        """Returns the shard as a manifest has it."""
        return RequiredShardMeta(
            db_id=self.db_id,
            db_url=self.db_url,
            attempt=self.attempt,
            row_count=self.row_count,
            db_bytes=self.db_bytes,
            checkpoint_id=self.checkpoint_id,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.__exit__(*exc)
