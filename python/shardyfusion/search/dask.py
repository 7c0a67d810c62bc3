"""Searches with Dask: a frame of queries in, a frame of results out."""

# The engines, pyarrow and pandas have no types, or are not installed where these are checked.
# mypy: disable-error-code="no-untyped-call,attr-defined,no-any-return"
# pyright: reportMissingImports=false, reportMissingTypeStubs=false, reportMissingModuleSource=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportPrivateImportUsage=false, reportUnknownLambdaType=false
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dask.dataframe  # type: ignore[import-not-found,import-untyped,unused-ignore]
import pandas  # type: ignore[import-not-found,import-untyped,unused-ignore]
import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]

from shardyfusion.search._job import SHARD_COL, IdType, SearchJob, plan_job, search_batches, with_shards

if TYPE_CHECKING:
    from dask.dataframe import DataFrame  # type: ignore[import-not-found,import-untyped,unused-ignore]

    from shardyfusion.credentials import CredentialProvider
    from shardyfusion.s3 import S3ConnectionOptions

__all__ = ["search"]


def _search(part: Any, job: SearchJob, empty: Any, partition_info: dict[str, Any] | None = None) -> Any:
    number = 0 if partition_info is None else partition_info["number"]
    table = pyarrow.Table.from_pandas(part[job.columns()], preserve_index=False)
    batches = list(search_batches(job, iter(table.to_batches()), number))
    if not batches:
        return empty
    return pyarrow.Table.from_batches(batches).to_pandas().astype(empty.dtypes.to_dict())


def _route(part: Any, job: SearchJob) -> Any:
    table = pyarrow.Table.from_pandas(part[job.columns()], preserve_index=False)
    shards = [shard for batch in with_shards(job, iter(table.to_batches())) for shard in batch.column(SHARD_COL).to_pylist()]
    return part[job.columns()].assign(**{SHARD_COL: pandas.Series(shards, index=part.index, dtype="int64")})


def _run(ddf: DataFrame, job: SearchJob) -> DataFrame:
    query_type = "int64" if job.query_col is None else ddf.dtypes[job.query_col]
    kinds = {
        "query": query_type,
        "rank": "int32",
        "id": "object" if job.id_type == "string" else "int64",
        "score": "float64",
        "payload": "object",
    }
    empty = pandas.DataFrame({name: pandas.Series(dtype=kind) for name, kind in kinds.items()})
    if job.groups:
        routed = ddf._meta[job.columns()].assign(**{SHARD_COL: 0})
        ddf = ddf.map_partitions(_route, job, meta=routed).shuffle(SHARD_COL, npartitions=min(job.num_dbs, ddf.npartitions))
    results: Any = ddf.map_partitions(_search, job, empty, meta=empty)
    return results


def search(
    ddf: DataFrame,
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
) -> DataFrame:
    """Searches with every vector of a column. Returns a frame with a row for each result: `query`, `rank` (from 1), `id`,
    `score` and `payload` (JSON).

    `query` is the value of `query_col`, or without one a number: those of partition p begin at p · 2³³.
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
    return _run(ddf, job)
