"""A search service: aiohttp, with a reader for the life of the application, refreshed in the background.

    SNAPSHOT=s3://bucket/prefix CACHE=/var/cache/vectors python aiohttp_service.py [PORT]
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web
from shardyfusion.errors import ConfigValidationError, ShardyfusionError
from shardyfusion.vector import AsyncShardedVectorReader

REFRESH_SECONDS = float(os.environ.get("REFRESH_SECONDS", "30"))
READER = web.AppKey("reader", AsyncShardedVectorReader)


async def keep_fresh(reader: AsyncShardedVectorReader) -> None:
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        await reader.refresh()


async def open_reader(app: web.Application) -> AsyncIterator[None]:
    """From the application's start to its end."""
    async with await AsyncShardedVectorReader.open(
        s3_prefix=os.environ["SNAPSHOT"], local_root=os.environ["CACHE"]
    ) as reader:
        app[READER] = reader
        refreshing = asyncio.create_task(keep_fresh(reader))
        yield
        refreshing.cancel()
        with suppress(asyncio.CancelledError):
            await refreshing


async def search(request: web.Request) -> web.Response:
    asked = await request.json()
    try:
        response = await request.app[READER].search(asked["vector"], asked.get("top_k", 10))
    except ConfigValidationError as error:
        raise web.HTTPBadRequest(text=str(error)) from error
    except ShardyfusionError as error:
        raise web.HTTPServiceUnavailable(text=str(error)) from error
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
