"""Dataclasses as JSON-ready objects, field by field, and back: bytes are hexadecimal digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints


def to_json(value: Any) -> Any:
    """The value as JSON has it."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: to_json(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


def from_json(kind: Any, value: Any) -> Any:
    """The inverse of `to_json`, for a type of dataclasses, tuples, bytes and plain values.

    Raises:
        KeyError, TypeError, ValueError: the value is not of that type.
    """
    if value is None:
        return None
    if NoneType in get_args(kind):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        return tuple(from_json(get_args(kind)[0], each) for each in value)
    if isinstance(kind, type) and is_dataclass(kind):
        return kind(**{name: from_json(of, value[name]) for name, of in _hints(kind).items()})
    return bytes.fromhex(value) if kind is bytes else value


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    found = get_type_hints(kind)
    return {field.name: found[field.name] for field in fields(kind)}
