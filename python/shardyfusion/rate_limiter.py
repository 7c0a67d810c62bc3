"""Limits on the rate of searches."""

from shardyfusion._rate_limiter import (
    AcquireResult,
    AsyncRateLimiter,
    RateLimiter,
    SyncRateLimiter,
    ThreadSafeTokenBucket,
    TokenBucket,
)

__all__ = ["AcquireResult", "AsyncRateLimiter", "RateLimiter", "SyncRateLimiter", "ThreadSafeTokenBucket", "TokenBucket"]
