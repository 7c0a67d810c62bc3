"""Searches with Ray: a frame of queries in, a frame of results out."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

from shardyfusion.errors import ConfigValidationError
from shardyfusion.search._job import SHARD_COL, IdType, SearchJob, no_results, plan_job, search_batches, with_shards
from shardyfusion.writer.ray._engine import plain_block

if TYPE_CHECKING:
    from ray.data import Dataset  # type: ignore[import-not-found,import-untyped,unused-ignore]

    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.s3 import S3ConnectionOptions

__all__ = ["search"]


class _Search:
    def __init__(self, job: SearchJob) -> None:
        self._job = job

    def __call__(self, block: pyarrow.Table) -> pyarrow.Table:
        batches = list(search_batches(self._job, iter(plain_block(block).to_batches()), 0))
        if not batches:  # after a shuffle, some blocks have no queries
            batches = [no_results(self._job, block.schema.field(str(self._job.query_col)).type)]
        return pyarrow.Table.from_batches(batches)


class _Route:
    def __init__(self, job: SearchJob) -> None:
        self._job = job

    def __call__(self, block: pyarrow.Table) -> pyarrow.Table:
        return pyarrow.Table.from_batches(list(with_shards(self._job, iter(plain_block(block).to_batches()))))


def _run(ds: Dataset, job: SearchJob) -> Dataset:
    if job.query_col is None:
        raise ConfigValidationError("query_col: expected a column that names the queries, found None")
    selected = ds.select_columns(job.columns())
    if job.groups:
        routed = selected.map_batches(_Route(job), batch_size=8192, batch_format="pyarrow")
        selected = routed.repartition(job.num_dbs, shuffle=True, keys=[SHARD_COL])
    return selected.map_batches(_Search(job), batch_size=8192, batch_format="pyarrow")


def search(
    ds: Dataset,
    *,
    s3_prefix: str | os.PathLike[str],
    local_root: str | os.PathLike[str],
    vector_col: str,
    top_k: int | None = 10,
    query_col: str | None = None,
    id_type: IdType = "string",
    shard_ids: Iterable[int] | None = None,
    num_probes: int | None = None,
    routing_context: Mapping[str, Any] | None = None,
    routing_context_cols: Sequence[str] | None = None,
    recall: float | None = None,
    filter: str | None = None,
    max_score: float | None = None,
    max_results: int = 10_000,
    offset: int = 0,
    include_payloads: bool = True,
    group_by_shard: bool = False,
    max_workers: int | None = None,
    max_cached_shards: int | None = None,
    max_cache_bytes: int | None = None,
    credential_provider: CredentialProvider | None = None,
    s3_connection_options: S3ConnectionOptions | None = None,
) -> Dataset:
    """Searches with every vector of a column. Returns a frame with a row for each result: `query`, `rank` (from 1), `id`,
    `score` and `payload` (JSON).

    `query` is the value of `query_col`, which Ray needs, because the rows of its blocks have no numbers.
    `id_type` is "string" or, where all ids are integers, "int".
    With `group_by_shard`, queries are first shuffled by the shard that they are routed to, so that few workers load each shard.
    The other arguments are those of `ShardedVectorReader` and its `search`; `routing_context_cols` names columns with the
    routing context of each query instead. Each process of a worker has one reader, whose cache is `local_root` on its machine.
    The whole job searches the snapshot that is live now, whatever is published meanwhile.
    """
    job = plan_job(
        {
            "s3_prefix": s3_prefix,
            "local_root": local_root,
            "max_workers": max_workers,
            "max_cached_shards": max_cached_shards,
            "max_cache_bytes": max_cache_bytes,
            "credential_provider": credential_provider,
            "s3_connection_options": s3_connection_options,
        },
        vector_col=vector_col,
        query_col=query_col,
        routing_context_cols=routing_context_cols,
        top_k=top_k,
        id_type=id_type,
        group_by_shard=group_by_shard,
        keywords={
            "shard_ids": None if shard_ids is None else list(shard_ids),
            "num_probes": num_probes,
            "routing_context": routing_context,
            "recall": recall,
            "filter": filter,
            "max_score": max_score,
            "max_results": max_results,
            "offset": offset,
            "include_payloads": include_payloads,
        },
    )
    return _run(ds, job)
