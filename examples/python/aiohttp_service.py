"""A search service with aiohttp: one reader for the lifetime of the application, refreshed in the background.

    pip install -r requirements.txt
    SNAPSHOT=s3://bucket/prefix CACHE=/var/cache/vectors python aiohttp_service.py [PORT]
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, cast

from aiohttp import web
from shardyfusion.errors import ConfigValidationError, ShardyfusionError
from shardyfusion.vector import AsyncShardedVectorReader

REFRESH_SECONDS = float(os.environ.get("REFRESH_SECONDS", "30"))
MAX_TOP_K = 1000
READER = web.AppKey("reader", AsyncShardedVectorReader)


async def keep_fresh(reader: AsyncShardedVectorReader) -> None:
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        await reader.refresh()


async def open_reader(app: web.Application) -> AsyncIterator[None]:
    """Keeps a reader open from the start of the application to its end."""
    async with await AsyncShardedVectorReader.open(
        s3_prefix=os.environ["SNAPSHOT"], local_root=os.environ["CACHE"]
    ) as reader:
        app[READER] = reader
        refreshing = asyncio.create_task(keep_fresh(reader))
        yield
        refreshing.cancel()
        with suppress(asyncio.CancelledError):
            await refreshing


def bad_request(message: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=json.dumps({"error": message}), content_type="application/json")


async def parse_search(request: web.Request) -> tuple[list[float], int]:
    """The vector and top_k of a request: {"vector": [number, …], "top_k": integer}. Malformed requests get status 400."""
    try:
        asked = await request.json()
    except (ValueError, LookupError) as error:  # not JSON, not valid in its charset, or an unknown charset
        raise bad_request(f"expected JSON: {error}") from error
    if not isinstance(asked, dict):
        raise bad_request('expected {"vector": [number, …], "top_k": integer}')
    members = cast("dict[str, Any]", asked)
    vector, top_k = members.get("vector"), members.get("top_k", 10)
    if not isinstance(vector, list):
        raise bad_request("vector: expected a list of numbers")
    numbers = cast("Sequence[Any]", vector)
    if any(isinstance(number, bool) or not isinstance(number, (int, float)) for number in numbers):
        raise bad_request("vector: expected numbers")
    if isinstance(top_k, bool) or not isinstance(top_k, int) or not 1 <= top_k <= MAX_TOP_K:
        raise bad_request(f"top_k: expected an integer from 1 to {MAX_TOP_K}")
    try:
        return [float(number) for number in numbers], top_k
    except OverflowError as error:
        raise bad_request("vector: a number is too large") from error


async def search(request: web.Request) -> web.Response:
    vector, top_k = await parse_search(request)
    try:
        response = await request.app[READER].search(vector, top_k)
    except ConfigValidationError as error:
        raise bad_request(str(error)) from error
    except ShardyfusionError as error:
        failure = web.HTTPServiceUnavailable if error.retryable else web.HTTPInternalServerError
        raise failure(text=str(error)) from error
    results = [{"id": res.id, "score": res.score, "payload": res.payload} for res in response]
    return web.json_response({"results": results, "latency_ms": response.latency_ms})


async def health(request: web.Request) -> web.Response:
    found = request.app[READER].health()
    return web.json_response({"status": found.status, "manifest": found.manifest_ref})


def make_app() -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(open_reader)
    app.add_routes([web.post("/search", search), web.get("/health", health)])
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
