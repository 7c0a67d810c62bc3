"""Credentials for object storage, from any object with `resolve()`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shardyfusion.errors import ConfigValidationError

__all__ = ["CredentialProvider", "EnvCredentialProvider", "S3Credentials", "StaticCredentialProvider"]


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """Keys and the time at which they expire (None: never; without a time zone: UTC)."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


class CredentialProvider(Protocol):
    """Provides credentials. `resolve` is called from threads of the library, one call at a time for one reader: when the
    reader opens, before the credentials expire, and when the store reports that they have expired. Its exceptions reach the
    caller unchanged."""

    def resolve(self) -> S3Credentials: ...


@dataclass(frozen=True, slots=True)
class StaticCredentialProvider:
    """Provides fixed keys."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def resolve(self) -> S3Credentials:
        return S3Credentials(self.access_key_id, self.secret_access_key, self.session_token)


@dataclass(frozen=True, slots=True)
class EnvCredentialProvider:
    """Provides the keys in the environment: `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY` and `S3_SESSION_TOKEN`, otherwise the
    same with `AWS_`. Each call of `resolve` reads them again."""

    prefixes: tuple[str, ...] = ("S3_", "AWS_")

    def resolve(self) -> S3Credentials:
        """Raises `ConfigValidationError` if neither prefix has both keys."""
        for prefix in self.prefixes:
            access_key_id = os.environ.get(f"{prefix}ACCESS_KEY_ID")
            secret_access_key = os.environ.get(f"{prefix}SECRET_ACCESS_KEY")
            if access_key_id and secret_access_key:
                token = os.environ.get(f"{prefix}SESSION_TOKEN") or None
                return S3Credentials(access_key_id, secret_access_key, token)
        names = " or ".join(f"{prefix}ACCESS_KEY_ID and {prefix}SECRET_ACCESS_KEY" for prefix in self.prefixes)
        raise ConfigValidationError(f"credentials: expected {names} in the environment, found neither")
