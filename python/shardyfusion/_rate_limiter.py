"""Limits on the rate of searches and of writes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shardyfusion._lazy import asyncio
from shardyfusion._text import describe
from shardyfusion.errors import ConfigValidationError
from shardyfusion.metrics import MetricEvent

if TYPE_CHECKING:
    from shardyfusion.metrics import MetricsCollector

__all__ = ["AcquireResult", "AsyncRateLimiter", "RateLimiter", "SyncRateLimiter", "ThreadSafeTokenBucket", "TokenBucket"]


@dataclass(slots=True)
class AcquireResult:
    """What `try_acquire` found: whether it took the tokens and, if it did not, after how many seconds they will be there.
    True if it took them."""

    acquired: bool
    deficit: float

    def __bool__(self) -> bool:
        return self.acquired


class AsyncRateLimiter(Protocol):
    """What the asyncio reader needs: awaited once per search. Its exceptions reach the caller unchanged."""

    async def acquire_async(self, tokens: int = 1, /) -> object: ...


class SyncRateLimiter(Protocol):
    """What the synchronous reader needs."""

    def acquire(self, tokens: int = 1, /) -> object: ...


class RateLimiter(Protocol):
    """A rate limiter for all callers."""

    def acquire(self, tokens: int = 1) -> None: ...

    def try_acquire(self, tokens: int = 1) -> AcquireResult: ...

    async def acquire_async(self, tokens: int = 1) -> None: ...


class TokenBucket:
    """At most `rate` searches per second on average, and bursts of `capacity` (default: one second's worth, at least 1).

    First come, first served. May be shared by readers, event loops and threads. A `metrics_collector` gets
    `RATE_LIMITER_THROTTLED` when a caller has to wait, and `RATE_LIMITER_DENIED` when `try_acquire` takes nothing;
    `limiter_type` is a field of both.
    """

    def __init__(
        self,
        rate: float,
        metrics_collector: MetricsCollector | float | None = None,
        limiter_type: str = "ops",
        *,
        capacity: float | None = None,
    ) -> None:
        if isinstance(metrics_collector, (int, float)):  # the capacity, which came second before there were collectors
            metrics_collector, capacity = None, metrics_collector
        if not 0 < rate < float("inf"):
            raise ConfigValidationError(f"rate: expected a number of searches a second above 0, found {describe(rate)}")
        if capacity is not None and not capacity >= 1:
            raise ConfigValidationError(f"capacity: expected at least 1, found {describe(capacity)}")
        self._rate = float(rate)
        self._capacity = max(self._rate, 1.0) if capacity is None else float(capacity)
        self._tokens = self._capacity
        self._updated = time.monotonic()
        self._lock = threading.Lock()
        self._collector = metrics_collector
        self._limiter_type = limiter_type

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rate={self._rate}, capacity={self._capacity})"

    async def acquire_async(self, tokens: int = 1) -> None:
        """Waits for `tokens` and takes them. If it is cancelled while it waits, it returns them."""
        delay = self._take(tokens)
        if delay <= 0:
            return
        self._tell(MetricEvent.RATE_LIMITER_THROTTLED, "wait_seconds", delay)
        try:
            await asyncio.sleep(delay)
        except asyncio.CancelledError:
            self._give(tokens)
            raise

    def acquire(self, tokens: int = 1) -> None:
        """Like `acquire_async`, for threads."""
        delay = self._take(tokens)
        if delay > 0:
            self._tell(MetricEvent.RATE_LIMITER_THROTTLED, "wait_seconds", delay)
            time.sleep(delay)

    def try_acquire(self, tokens: int = 1) -> AcquireResult:
        """Takes `tokens` if they are there; never waits."""
        with self._lock:
            self._fill()
            missing = max(0.0, tokens - self._tokens)
            if missing == 0:
                self._tokens -= tokens
        if missing == 0:
            return AcquireResult(True, 0.0)
        self._tell(MetricEvent.RATE_LIMITER_DENIED, "deficit_seconds", missing / self._rate)
        return AcquireResult(False, missing / self._rate)

    def _fill(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._updated) * self._rate)
        self._updated = now

    def _take(self, tokens: int) -> float:
        """Takes tokens, on credit if there are none, and returns after how many seconds they will be available."""
        with self._lock:
            self._fill()
            self._tokens -= tokens
            return -self._tokens / self._rate

    def _give(self, tokens: int) -> None:
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + tokens)

    def _tell(self, event: MetricEvent, name: str, seconds: float) -> None:
        if self._collector is not None and not isinstance(self._collector, (int, float)):
            self._collector.emit(event, {name: seconds, "limiter_type": self._limiter_type})


class ThreadSafeTokenBucket(TokenBucket):
    """The same: every `TokenBucket` may be shared by threads."""
