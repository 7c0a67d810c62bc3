"""A search service with FastAPI: one reader for the lifetime of the application, refreshed in the background.

    pip install -r requirements.txt
    SNAPSHOT=s3://bucket/prefix CACHE=/var/cache/vectors uvicorn fastapi_service:app

With several workers, name an empty folder through which they combine their metrics:

    export PROMETHEUS_MULTIPROC_DIR=$(mktemp -d)
    SNAPSHOT=… CACHE=… uvicorn fastapi_service:app --workers 4

Each worker process opens its own reader; all share the cache.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from pydantic import BaseModel, Field
from shardyfusion.errors import ConfigValidationError, ShardyfusionError
from shardyfusion.metrics.prometheus import PrometheusCollector
from shardyfusion.vector import AsyncShardedVectorReader

SEARCH_SECONDS = 5.0
REFRESH_SECONDS = float(os.environ.get("REFRESH_SECONDS", "30"))
log = logging.getLogger(__name__)


async def keep_fresh(reader: AsyncShardedVectorReader) -> None:
    """Checks for a newer snapshot periodically. If it can't be loaded, the old one stays served."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        if await reader.refresh():
            log.info("serving %s", reader.snapshot_info().run_id)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with await AsyncShardedVectorReader.open(
        s3_prefix=os.environ["SNAPSHOT"],
        local_root=os.environ["CACHE"],
        preload_shards=True,
        metrics_collector=PrometheusCollector(),
    ) as reader:
        app.state.reader = reader
        refreshing = asyncio.create_task(keep_fresh(reader))
        try:
            yield
        finally:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing


app = FastAPI(lifespan=lifespan)


def current_reader(request: Request) -> AsyncShardedVectorReader:
    reader: AsyncShardedVectorReader = request.app.state.reader
    return reader


Reader = Annotated[AsyncShardedVectorReader, Depends(current_reader)]


class SearchRequest(BaseModel):
    vector: list[float]
    top_k: int = Field(10, ge=1, le=1000)
    num_probes: int | None = Field(None, ge=1)


@app.post("/search")
async def search(asked: SearchRequest, reader: Reader) -> dict[str, Any]:
    async with asyncio.timeout(SEARCH_SECONDS):
        response = await reader.search(asked.vector, asked.top_k, num_probes=asked.num_probes)
    return {
        "results": [{"id": res.id, "score": res.score, "payload": res.payload} for res in response],
        "num_shards_queried": response.num_shards_queried,
        "latency_ms": response.latency_ms,
    }


@app.get("/health")
async def health(reader: Reader) -> JSONResponse:
    found = reader.health(staleness_threshold=timedelta(days=7))
    body = {"status": found.status, "manifest": found.manifest_ref, "refresh_error": found.refresh_error}
    return JSONResponse(body, status_code=503 if found.is_closed else 200)


@app.get("/metrics")
async def metrics() -> Response:
    """The metrics of all workers if PROMETHEUS_MULTIPROC_DIR is set, else of this process."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@app.exception_handler(RequestValidationError)
async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
    found = [{"where": ".".join(map(str, part["loc"])), "message": part["msg"]} for part in error.errors()]
    return JSONResponse({"error": "RequestValidationError", "message": "malformed request", "found": found}, status_code=400)


@app.exception_handler(ShardyfusionError)
async def failed(request: Request, error: ShardyfusionError) -> JSONResponse:
    status = 400 if isinstance(error, ConfigValidationError) else 503 if error.retryable else 500
    return JSONResponse({"error": type(error).__name__, "message": str(error)}, status_code=status)


@app.exception_handler(TimeoutError)
async def timed_out(request: Request, error: TimeoutError) -> JSONResponse:
    return JSONResponse({"error": "TimeoutError", "message": "the search took too long"}, status_code=504)
