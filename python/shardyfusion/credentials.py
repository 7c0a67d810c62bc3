"""Credentials for object storage, from any object with `resolve()`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

__all__ = ["CredentialProvider", "EnvCredentialProvider", "S3Credentials", "StaticCredentialProvider"]


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """Keys and the time at which they expire (None: never; without a time zone: UTC).

    Without an access key they stand for no credentials: then those of the environment or the machine are used.
    """

    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None


@runtime_checkable
class CredentialProvider(Protocol):
    """Provides credentials. `resolve` is called from threads of the library, one call at a time for one reader: when the
    reader opens, before the credentials expire, and when the store reports that they have expired. Its exceptions reach the
    caller unchanged."""

    def resolve(self) -> S3Credentials: ...


@dataclass(frozen=True, slots=True)
class StaticCredentialProvider:
    """Provides fixed keys."""

    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    def resolve(self) -> S3Credentials:
        return S3Credentials(self.access_key_id, self.secret_access_key, self.session_token)


@dataclass(frozen=True, slots=True)
class EnvCredentialProvider:
    """Provides the keys in the environment: each of `S3_ACCESS_KEY_ID`, `S3_SECRET_ACCESS_KEY` and `S3_SESSION_TOKEN`, or else
    the same with `AWS_`; None where there is neither. Each call of `resolve` reads them again."""

    prefixes: tuple[str, ...] = ("S3_", "AWS_")

    def resolve(self) -> S3Credentials:
        return S3Credentials(
            self._first("ACCESS_KEY_ID"), self._first("SECRET_ACCESS_KEY"), self._first("SESSION_TOKEN")
        )

    def _first(self, name: str) -> str | None:
        found = (os.environ.get(prefix + name) for prefix in self.prefixes)
        return next((value for value in found if value), None)


def has_keys(provider: CredentialProvider) -> bool:
    """Whether a provider is not one of the above that has no keys."""
    if isinstance(provider, (EnvCredentialProvider, StaticCredentialProvider)):
        credentials = provider.resolve()
        return bool(credentials.access_key_id or credentials.secret_access_key)
    return True
