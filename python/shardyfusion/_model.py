"""Records of the format, such as manifests: data classes with the methods that code written for pydantic's models calls."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Self, TypeVar

from shardyfusion._text import describe

_E = TypeVar("_E", bound=Enum)
_M = TypeVar("_M", bound="Model")


class Model:
    """Base class of the records. Values are checked and converted when a record is made; a wrong one is a `ValueError`."""

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """Makes a record from a mapping of its fields, or returns a record as it is. Unknown fields are ignored."""
        if isinstance(data, cls):
            return data
        if not isinstance(data, Mapping):
            raise ValueError(f"{cls.__name__}: expected a mapping, found {describe(data)}")
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        given: dict[str, Any] = {field.name: data[field.name] for field in fields if field.name in data}
        missing = [field.name for field in fields if field.name not in given and _is_required(field)]
        if missing:
            raise ValueError(f"{cls.__name__}: expected {', '.join(missing)}, found none")
        return cls(**given)

    @classmethod
    def model_validate_json(cls, text: str | bytes | bytearray) -> Self:
        """Makes a record from a JSON object."""
        return cls.model_validate(json.loads(text))

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """Returns the fields as a dict, records within included; with `mode="json"` as values that JSON has."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        return {field.name: _dump(getattr(self, field.name), mode == "json") for field in fields}

    def model_dump_json(self) -> str:
        """Returns the fields as a JSON object."""
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":"))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Returns a copy, with the fields of `update` replaced; `deep` copies the values, too."""
        copied = copy.deepcopy(self) if deep else copy.copy(self)
        for name, value in (update or {}).items():
            setattr(copied, name, value)
        return copied


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _dump(value: Any, as_json: bool) -> Any:
    if isinstance(value, Model):
        return value.model_dump(mode="json" if as_json else "python")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _dump(getattr(value, field.name), as_json) for field in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [_dump(item, as_json) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Mapping):
        return {name: _dump(item, as_json) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if as_json and isinstance(value, Enum):
        return value.value
    if as_json and isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if as_json and isinstance(value, bytes):
        return value.decode()
    return value


def check_count(what: str, name: str, value: Any, minimum: int = 0) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{what}: {name}: expected an integer of at least {minimum}, found {describe(value)}")


def check_text(what: str, name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{what}: {name}: expected a string, found {describe(value)}")


def to_time(what: str, name: str, value: Any) -> datetime:
    """A time as given, or from ISO 8601; one without a time zone is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{what}: {name}: expected a time in ISO 8601, found {describe(value)}") from None
    if not isinstance(value, datetime):
        raise ValueError(f"{what}: {name}: expected a datetime, found {describe(value)}")
    return value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)


def to_member(kind: type[_E], what: str, name: str, value: Any) -> _E:
    """The member of an enumeration that has the value."""
    try:
        return kind(value)
    except ValueError:
        expected = ", ".join(str(member.value) for member in kind)
        raise ValueError(f"{what}: {name}: expected {expected}, found {describe(value)}") from None


def to_model(kind: type[_M], value: Any) -> _M:
    return kind.model_validate(value)
