"""Logs of the package, which go to the logger `shardyfusion` and those below it. Nothing is configured unless a program asks."""

from __future__ import annotations

import contextvars
import json
import logging
from enum import StrEnum
from typing import IO, Any

__all__ = ["FailureSeverity", "JsonFormatter", "LogContext", "configure_logging", "get_logger", "log_event", "log_failure"]

_ROOT = "shardyfusion"
_context: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("shardyfusion_log_context", default={})


class FailureSeverity(StrEnum):
    """How grave a failure is: whether trying again may help, whether the operation has failed, or whether data is at risk."""

    TRANSIENT = "transient"
    ERROR = "error"
    CRITICAL = "critical"


_LEVELS = {
    FailureSeverity.TRANSIENT: logging.WARNING,
    FailureSeverity.ERROR: logging.ERROR,
    FailureSeverity.CRITICAL: logging.CRITICAL,
}


class LogContext:
    """Adds fields to all records that are logged by the package within a `with` block, in this thread or task."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields
        self._token: contextvars.Token[dict[str, Any]] | None = None

    def __enter__(self) -> LogContext:
        self._token = _context.set(_context.get() | self._fields)
        return self

    def __exit__(self, *args: object) -> None:
        if self._token is not None:
            _context.reset(self._token)
            self._token = None


class JsonFormatter(logging.Formatter):
    """Formats records as JSON objects, one per line: `timestamp`, `level`, `logger`, `event` and the record's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(getattr(record, "shardyfusion", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def get_logger(name: str) -> logging.Logger:
    """Returns the package's logger of that name; `__name__` of a module of the package names the module's."""
    return logging.getLogger(f"{_ROOT}.{name.removeprefix(_ROOT + '.')}")


def configure_logging(level: int = logging.INFO, json_format: bool = False, stream: IO[str] | None = None) -> None:
    """Writes the package's records of at least `level` to `stream` (standard error), replacing the handlers of before."""
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    handler.setFormatter(JsonFormatter() if json_format else logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger(_ROOT)
    logger.setLevel(level)
    logger.handlers = [handler]


def log_event(event: str, *, level: int = logging.INFO, logger: logging.Logger | None = None, **fields: Any) -> None:
    """Logs an event with fields, which are the record's `shardyfusion`, together with those of the `LogContext`."""
    target = logger or logging.getLogger(_ROOT)
    if target.isEnabledFor(level):
        target.log(level, event, extra={"shardyfusion": _context.get() | fields})


def log_failure(
    event: str,
    *,
    severity: FailureSeverity,
    error: BaseException | None = None,
    include_traceback: bool = False,
    logger: logging.Logger | None = None,
    **fields: Any,
) -> None:
    """Logs a failure, at the level of its severity, with the exception as the field `error`."""
    fields = {"severity": severity.value, **fields}
    if error is not None:
        fields["error"] = repr(error)
    if error is not None and include_traceback:
        from traceback import format_exception

        fields["traceback"] = format_exception(error)
    log_event(event, level=_LEVELS[severity], logger=logger, **fields)
