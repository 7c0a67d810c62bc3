"""Credentials for object storage: anything with `resolve()` provides them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shardyfusion.errors import ConfigValidationError

__all__ = ["CredentialProvider", "EnvCredentialProvider", "S3Credentials", "StaticCredentialProvider"]


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """Keys, and until when they are good (None: they don't expire; no zone: UTC)."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


class CredentialProvider(Protocol):
    """Finds credentials. Called from threads of the library, one call at a time for one reader: when a reader opens, and
    again before they expire and when the store says that they have. What it raises reaches the caller unchanged."""

    def resolve(self) -> S3Credentials: ...


@dataclass(frozen=True, slots=True)
class StaticCredentialProvider:
    """The keys that it was made with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def resolve(self) -> S3Credentials:
        return S3Credentials(self.access_key_id, self.secret_access_key, self.session_token)


@dataclass(frozen=True, slots=True)
class EnvCredentialProvider:
    """The keys in the environment: `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY` and `S3_SESSION_TOKEN`, or else the same
    with `AWS_`. Read each time that they are asked for."""

    prefixes: tuple[str, ...] = ("S3_", "AWS_")

    def resolve(self) -> S3Credentials:
        """Raises `ConfigValidationError` where neither has both keys."""
        for prefix in self.prefixes:
            access_key_id = os.environ.get(f"{prefix}ACCESS_KEY_ID")
            secret_access_key = os.environ.get(f"{prefix}SECRET_ACCESS_KEY")
            if access_key_id and secret_access_key:
                token = os.environ.get(f"{prefix}SESSION_TOKEN") or None
                return S3Credentials(access_key_id, secret_access_key, token)
        names = " or ".join(f"{prefix}ACCESS_KEY_ID and {prefix}SECRET_ACCESS_KEY" for prefix in self.prefixes)
        raise ConfigValidationError(f"credentials: expected {names} in the environment, found neither")
