"""Making lists for a snapshot, for searches with a recall."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from shardyfusion import _core
from shardyfusion._options import Reporter, count_option
from shardyfusion._paths import path_option
from shardyfusion.s3 import core_options

if TYPE_CHECKING:
    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.s3 import S3ConnectionOptions

__all__ = ["IndexResult", "index_snapshot"]

_MAX_LISTS = 2**20
_MAX_BYTES = 2**64 - 1


class IndexResult(NamedTuple):
    """What `index_snapshot` made."""

    manifest_ref: str
    """Of the manifest that is live now."""
    is_published: bool
    """False: the snapshot had lists, and nothing was done; the figures below are 0."""
    num_shards: int
    num_vectors: int
    num_lists: int
    num_bytes: int
    seconds: float


def index_snapshot(
    s3_prefix: str | os.PathLike[str],
    *,
    local_root: str | os.PathLike[str],
    num_lists: int | None = None,
    seed: int = 0,
    max_memory_bytes: int | None = None,
    num_threads: int | None = None,
    force: bool = False,
    credential_provider: CredentialProvider | None = None,
    s3_connection_options: S3ConnectionOptions | None = None,
) -> IndexResult:
    """Makes lists for the live snapshot, whoever wrote it, stores them beside the shards, and publishes it anew with them.

    Searches with `recall` then read lists at once instead of making them. The shards stay as they are; until the end, and if
    anything fails, so does the live snapshot. Shards are read through the local cache at `local_root`, and lists are left in it.

    `num_lists` is that of each shard (None: about four times the square root of its rows). The same rows, options and `seed`
    give the same lists. `max_memory_bytes` (None: 512 MiB) is an approximate limit, without what is mapped; `num_threads` None
    is one for each CPU. A snapshot that has lists is left as it is, unless `force` says to make them anew. Ctrl-C stops it.
    """
    root = path_option("s3_prefix", s3_prefix)
    reporter = Reporter(None, root)
    options = {
        "root": root,
        "cache_dir": path_option("local_root", local_root),
        "num_lists": count_option("num_lists", num_lists, 1, _MAX_LISTS),
        "seed": count_option("seed", seed, 0, _MAX_BYTES),
        "max_memory_bytes": count_option("max_memory_bytes", max_memory_bytes, 1, _MAX_BYTES),
        "num_threads": count_option("num_threads", num_threads, 1),
        "force": int(force),
        "s3": core_options(s3_connection_options, credential_provider),
    }
    try:
        made = _core.index_snapshot(reporter.sink, options)
    finally:
        reporter.report()
    return IndexResult(*made)
