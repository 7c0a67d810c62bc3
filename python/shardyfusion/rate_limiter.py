"""Limits on the rate of searches."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from shardyfusion._lazy import asyncio
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError

__all__ = ["AsyncRateLimiter", "RateLimiter", "TokenBucket"]


class AsyncRateLimiter(Protocol):
    """Awaited once per search. Its exceptions reach the caller unchanged."""

    async def acquire_async(self, tokens: int = 1, /) -> object: ...


class RateLimiter(Protocol):
    """A rate limiter for the synchronous reader."""

    def acquire(self, tokens: int = 1, /) -> object: ...


class TokenBucket:
    """At most `rate` searches per second on average, and bursts of `capacity` (default: one second's worth, at least 1).

    First come, first served. May be shared by readers, event loops and threads.
    """

    def __init__(self, rate: float, capacity: float | None = None) -> None:
        if not 0 < rate < float("inf"):
            raise ConfigValidationError(f"rate: expected a number of searches a second above 0, found {describe(rate)}")
        if capacity is not None and not capacity >= 1:
            raise ConfigValidationError(f"capacity: expected at least 1, found {describe(capacity)}")
        self._rate = float(rate)
        self._capacity = max(self._rate, 1.0) if capacity is None else float(capacity)
        self._tokens = self._capacity
        self._updated = time.monotonic()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"TokenBucket(rate={self._rate}, capacity={self._capacity})"

    async def acquire_async(self, tokens: int = 1) -> None:
        """Waits for `tokens` and takes them. If it is cancelled while it waits, it returns them."""
        delay = self._take(tokens)
        if delay <= 0:
            return
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            self._give(tokens)
            raise

    def acquire(self, tokens: int = 1) -> None:
        """Like `acquire_async`, for threads."""
        delay = self._take(tokens)
        if delay > 0:
            time.sleep(delay)

    def _take(self, tokens: int) -> float:
        """Takes tokens, on credit if there are none, and returns after how many seconds they will be available."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._capacity, self._tokens + (now - self._updated) * self._rate)
            self._updated = now
            self._tokens -= tokens
            return -self._tokens / self._rate

    def _give(self, tokens: int) -> None:
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + tokens)
