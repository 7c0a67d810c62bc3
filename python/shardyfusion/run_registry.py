"""Records of writes: who wrote what and when, whether it succeeded, and, while it is under way, until when it may be taken to be
alive."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from shardyfusion import _model, _yaml
from shardyfusion._model import Model
from shardyfusion._text import describe
from shardyfusion.logging import FailureSeverity, get_logger, log_failure
from shardyfusion.storage import join_s3

if TYPE_CHECKING:
    from shardyfusion.storage import StorageBackend

__all__ = [
    "DEFAULT_RUN_HEARTBEAT_INTERVAL",
    "DEFAULT_RUN_LEASE_DURATION",
    "InMemoryRunRegistry",
    "RUN_RECORD_FORMAT_VERSION",
    "RUN_RECORD_NAME",
    "RUN_REGISTRY_TIMESTAMP_FMT",
    "RunRecord",
    "RunRecordLifecycle",
    "RunRegistry",
    "RunStatus",
    "S3RunRegistry",
    "parse_run_record",
    "resolve_run_registry",
]

RUN_REGISTRY_TIMESTAMP_FMT = "%Y-%m-%dT%H:%M:%S.%fZ"
RUN_RECORD_NAME = "run.yaml"
RUN_RECORD_FORMAT_VERSION = 1
DEFAULT_RUN_LEASE_DURATION = timedelta(minutes=10)
DEFAULT_RUN_HEARTBEAT_INTERVAL = timedelta(minutes=1)

_logger = get_logger(__name__)


class RunStatus(StrEnum):
    """What became of a write."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class RunRecord(Model):
    """The record of one write. While it is running, it may be taken for dead after `lease_expires_at`."""

    format_version: int = RUN_RECORD_FORMAT_VERSION
    run_id: str
    writer_type: str
    status: RunStatus
    started_at: datetime
    updated_at: datetime
    lease_expires_at: datetime
    s3_prefix: str
    shard_prefix: str
    db_path_template: str
    manifest_ref: str | None = None
    error_type: str | None = None
    error_message: str | None = None

    def __post_init__(self) -> None:
        for name in ("run_id", "writer_type", "s3_prefix", "shard_prefix", "db_path_template"):
            _model.check_text("run record", name, getattr(self, name))
        for name in ("started_at", "updated_at", "lease_expires_at"):
            setattr(self, name, _model.to_time("run record", name, getattr(self, name)))
        self.status = _model.to_member(RunStatus, "run record", "status", self.status)
        _model.check_count("run record", "format_version", self.format_version)


class RunRegistry(Protocol):
    """Keeps records. `create` returns a reference to a new one, by which it is updated and loaded."""

    def create(self, record: RunRecord) -> str: ...

    def update(self, ref: str, record: RunRecord) -> None: ...

    def load(self, ref: str) -> RunRecord: ...


def parse_run_record(payload: bytes) -> RunRecord:
    """Parses a record as it is stored, in YAML. Raises `ValueError`."""
    return RunRecord.model_validate(_yaml.load_flat(payload.decode()))


def _now() -> datetime:
    return datetime.now(timezone.utc)


class S3RunRegistry:
    """Keeps records as objects below `s3_prefix`."""

    def __init__(self, backend: StorageBackend, s3_prefix: str, *, run_registry_prefix: str = "runs") -> None:
        self._backend = backend
        self.s3_prefix = s3_prefix.rstrip("/")
        self.run_registry_prefix = run_registry_prefix

    def create(self, record: RunRecord) -> str:
        folder = f"{_now().strftime(RUN_REGISTRY_TIMESTAMP_FMT)}_run_id={record.run_id}_{uuid4().hex}"
        ref = join_s3(self.s3_prefix, self.run_registry_prefix, folder, RUN_RECORD_NAME)
        self.update(ref, record)
        return ref

    def update(self, ref: str, record: RunRecord) -> None:
        payload = _yaml.dump_flat(record.model_dump(mode="json")).encode()
        self._backend.put(ref, payload, "application/x-yaml")

    def load(self, ref: str) -> RunRecord:
        return parse_run_record(self._backend.get(ref))


class InMemoryRunRegistry:
    """Keeps records in this process."""

    def __init__(self) -> None:
        self._records: dict[str, RunRecord] = {}

    def create(self, record: RunRecord) -> str:
        ref = f"mem://runs/{record.run_id}/{uuid4().hex}/{RUN_RECORD_NAME}"
        self.update(ref, record)
        return ref

    def update(self, ref: str, record: RunRecord) -> None:
        self._records[ref] = record.model_copy(deep=True)

    def load(self, ref: str) -> RunRecord:
        return self._records[ref].model_copy(deep=True)


def resolve_run_registry(config: Any) -> RunRegistry:
    """Returns the registry of a write's configuration: its own, one in memory beside an `InMemoryManifestStore`, or that of the
    root."""
    from shardyfusion.manifest_store import InMemoryManifestStore
    from shardyfusion.storage import backend_of

    if config.run_registry is not None:
        return config.run_registry  # type: ignore[no-any-return]
    if isinstance(config.manifest.store, InMemoryManifestStore):
        return InMemoryRunRegistry()
    backend = backend_of(config.s3_prefix, config.credential_provider, config.s3_connection_options)
    return S3RunRegistry(backend, str(config.s3_prefix), run_registry_prefix=config.output.run_registry_prefix)


class RunRecordLifecycle:
    """Keeps the record of one write up to date: its lease while it runs, and how it ended.

    A registry that fails is logged, and never fails the write.
    """

    def __init__(
        self,
        *,
        registry: RunRegistry | None,
        record: RunRecord,
        ref: str | None,
        lease_duration: timedelta = DEFAULT_RUN_LEASE_DURATION,
        heartbeat_interval: timedelta = DEFAULT_RUN_HEARTBEAT_INTERVAL,
    ) -> None:
        self._registry = registry
        self._record = record
        self._ref = ref
        self._lease = lease_duration
        self._interval = heartbeat_interval.total_seconds()
        self._lock = threading.Lock()  # of the record
        self._stopped = threading.Event()
        self._has_ended = False
        self._heartbeat: threading.Thread | None = None
        if registry is not None and ref is not None:
            name = f"shardyfusion-run-{record.run_id}"
            self._heartbeat = threading.Thread(target=self._renew, name=name, daemon=True)
            self._heartbeat.start()

    @classmethod
    def start(
        cls,
        *,
        config: Any,
        run_id: str,
        writer_type: str,
        lease_duration: timedelta = DEFAULT_RUN_LEASE_DURATION,
        heartbeat_interval: timedelta = DEFAULT_RUN_HEARTBEAT_INTERVAL,
    ) -> RunRecordLifecycle:
        """Records that a write has begun, in the registry of its configuration."""
        now = _now()
        record = RunRecord(
            run_id=run_id,
            writer_type=writer_type,
            status=RunStatus.RUNNING,
            started_at=now,
            updated_at=now,
            lease_expires_at=now + lease_duration,
            s3_prefix=str(config.s3_prefix),
            shard_prefix=config.output.shard_prefix,
            db_path_template=config.output.db_path_template,
        )
        registry: RunRegistry | None = None
        ref: str | None = None
        try:
            registry = resolve_run_registry(config)
            ref = registry.create(record)
        except Exception as error:
            registry = None
            _warn("run_record_create_failed", error, run_id)
        return cls(
            registry=registry,
            record=record,
            ref=ref,
            lease_duration=lease_duration,
            heartbeat_interval=heartbeat_interval,
        )

    @property
    def run_record_ref(self) -> str | None:
        """The reference to the record; None if there is none."""
        return self._ref

    def set_manifest_ref(self, manifest_ref: str) -> None:
        """Notes the manifest that was published."""
        with self._lock:
            self._record.manifest_ref = manifest_ref

    def mark_succeeded(self) -> None:
        """Records that the write succeeded."""
        self._end(RunStatus.SUCCEEDED, None)

    def mark_failed(self, exc: BaseException) -> None:
        """Records that the write failed, and why."""
        self._end(RunStatus.FAILED, exc)

    def close(self) -> None:
        """Stops renewing the lease."""
        self._stopped.set()
        if self._heartbeat is not None and self._heartbeat is not threading.current_thread():
            self._heartbeat.join(timeout=self._interval)

    def __enter__(self) -> RunRecordLifecycle:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is not None:
            self.mark_failed(exc)
        self.close()

    def _renew(self) -> None:
        while not self._stopped.wait(self._interval):
            with self._lock:
                if self._has_ended:
                    return
                self._record.updated_at = _now()
                self._record.lease_expires_at = self._record.updated_at + self._lease
                record = self._record.model_copy()
            self._update("run_record_heartbeat_failed", record)

    def _end(self, status: RunStatus, error: BaseException | None) -> None:
        with self._lock:
            if self._has_ended:
                return
            self._has_ended = True
            record = self._record
            record.status = status
            record.updated_at = record.lease_expires_at = _now()
            record.error_type = None if error is None else type(error).__name__
            record.error_message = None if error is None else str(error)
        self.close()
        self._update("run_record_terminal_update_failed", record)

    def _update(self, event: str, record: RunRecord) -> None:
        if self._registry is None or self._ref is None:
            return
        try:
            self._registry.update(self._ref, record)
        except Exception as error:
            _warn(event, error, record.run_id)


def _warn(event: str, error: BaseException, run_id: str) -> None:
    log_failure(event, severity=FailureSeverity.ERROR, error=error, logger=_logger, run_id=describe(run_id))
