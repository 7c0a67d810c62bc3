"""Options for access to object storage."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from shardyfusion._text import describe, shorten
from shardyfusion.errors import ConfigValidationError

if TYPE_CHECKING:
    from shardyfusion.credentials import CredentialProvider

__all__ = ["S3ConnectionOptions"]


class S3ConnectionOptions(TypedDict, total=False):
    """Options for access to object storage. Missing ones come from the environment (`S3_*`, then `AWS_*`), then from defaults.

    Timeouts are in seconds; `max_attempts` includes the first attempt. `verify_ssl` is a bool or the path of the trusted
    certificate authorities. `signature_version` must be `"s3v4"`, `addressing_style` is `"auto"`, `"virtual"` or `"path"`.

    `anonymous` sends unsigned requests, for public buckets, and uses no credentials. `requester_pays` agrees to pay for
    requests to a requester-pays bucket; `request_payer="requester"` means the same.
    """

    endpoint_url: str | None
    region_name: str | None
    addressing_style: str | None
    signature_version: str | None
    verify_ssl: bool | str | os.PathLike[str] | None
    connect_timeout: float | None
    read_timeout: float | None
    max_attempts: int | None
    anonymous: bool | None
    requester_pays: bool | None
    request_payer: Literal["requester"] | bool | None


_STYLES = ("auto", "virtual", "path")
_SIGNATURES = ("s3v4", "v4")


def _fail(name: str, expected: str, found: object) -> ConfigValidationError:
    return ConfigValidationError(f"s3_connection_options: {name}: expected {expected}, found {describe(found)}")


def _text(options: dict[str, Any], name: str) -> str | None:
    value = options.get(name)
    if value is not None and not isinstance(value, str):
        raise _fail(name, "a string", value)
    return value


def _number(options: dict[str, Any], name: str, *, whole: bool = False) -> Any:
    value = options.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not 0 < value < 2**31:
        raise _fail(name, "an integer above 0" if whole else "a number of seconds above 0", value)
    return value


def _flag(options: dict[str, Any], name: str) -> bool:
    value = options.get(name)
    if value is not None and not isinstance(value, bool):
        raise _fail(name, "a bool", value)
    return bool(value)


def _requester_pays(options: dict[str, Any]) -> bool:
    pays, payer = _flag(options, "requester_pays"), options.get("request_payer")
    if payer is None:
        return pays
    if not isinstance(payer, bool) and payer != "requester":
        raise _fail("request_payer", '"requester" or a bool', payer)
    if options.get("requester_pays") is not None and pays != bool(payer):
        raise _fail("request_payer", f"what requester_pays={pays} says", payer)
    return bool(payer)


def core_options(
    connection: S3ConnectionOptions | None, credential_provider: CredentialProvider | None
) -> dict[str, Any]:
    """Checks the options and converts them for the extension; empty if all come from the environment."""
    from shardyfusion._paths import path_option
    from shardyfusion.credentials import has_keys

    if credential_provider is not None and not callable(getattr(credential_provider, "resolve", None)):
        raise ConfigValidationError(f"credential_provider: expected resolve(), found {describe(credential_provider)}")
    options: dict[str, Any] = dict(connection or {})
    if unknown := set(options) - set(S3ConnectionOptions.__annotations__):
        raise ConfigValidationError(f"s3_connection_options: unknown: {shorten(', '.join(sorted(map(str, unknown))))}")
    style = options.get("addressing_style") or "auto"
    if style not in _STYLES:
        raise _fail("addressing_style", "auto, virtual or path", style)
    if options.get("signature_version") not in (None, *_SIGNATURES):
        raise _fail("signature_version", "s3v4", options["signature_version"])
    verify: Any = options.get("verify_ssl")
    if verify is not None and not isinstance(verify, (bool, str, os.PathLike)):
        raise _fail("verify_ssl", "a bool or a path", verify)
    anonymous = _flag(options, "anonymous")
    if anonymous and credential_provider is not None:
        raise _fail("anonymous", "no credential_provider beside it", anonymous)
    if credential_provider is not None and not has_keys(credential_provider):
        credential_provider = None  # then those of the environment or the machine
    if not options and credential_provider is None:
        return {}
    has_path = verify is not None and not isinstance(verify, bool)
    ca_path = path_option("s3_connection_options: verify_ssl", verify) if has_path else None
    return {
        "endpoint_url": _text(options, "endpoint_url"),
        "region_name": _text(options, "region_name"),
        "addressing_style": _STYLES.index(style),
        "ca_path": ca_path,
        "no_verify_ssl": verify is False,
        "connect_timeout": float(_number(options, "connect_timeout")),
        "read_timeout": float(_number(options, "read_timeout")),
        "max_attempts": _number(options, "max_attempts", whole=True),
        "anonymous": anonymous,
        "requester_pays": _requester_pays(options),
        "credential_provider": credential_provider,
    }
