"""Frozen dataclasses to bytes and back: numbers as numpy arrays, the rest as JSON, nothing that runs when it is read.

Written for records that change with the program: a field that is gone is passed over, one that is new takes its
default, and only a field without a default that is missing stops the reading.
"""

from __future__ import annotations

import dataclasses
import io
import json
import types
import typing
import zipfile
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pipeline.errors import VaultError

T = TypeVar("T")
_INDEX = "index.json"


def pack(record: object, leave_out: frozenset[str] = frozenset()) -> bytes:
    """``record``, a dataclass, with everything in it. Fields named in ``leave_out`` are not kept, at any depth."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    index = _down(record, arrays, leave_out)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(_INDEX, json.dumps(index))
        for name, array in arrays.items():
            held = io.BytesIO()
            np.save(held, array, allow_pickle=False)
            archive.writestr(name + ".npy", held.getvalue())
    return out.getvalue()


def unpack(kind: type[T], data: bytes) -> T:
    """What `pack` was given, as a ``kind``. Raises VaultError when it cannot be read as one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            index = json.loads(archive.read(_INDEX))
            arrays = {
                name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
        return typing.cast(T, _up(kind, index, arrays))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise VaultError(
            "What was kept of a clip cannot be read ({why}); run lesveil run again.", why=f"{kind.__name__}: {error}"
        ) from error


def _down(value: Any, arrays: dict[str, Any], leave_out: frozenset[str]) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": _kept(value, arrays)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name not in leave_out]
        return {"dataclass": {name: _down(getattr(value, name), arrays, leave_out) for name in names}}
    if isinstance(value, list | tuple) and len(value) > 1 and dataclasses.is_dataclass(value[0]):
        return _columns(value, arrays, leave_out)
    if isinstance(value, list | tuple | set | frozenset):
        return [_down(one, arrays, leave_out) for one in value]
    if isinstance(value, dict):
        return {"map": [[_down(k, arrays, leave_out), _down(v, arrays, leave_out)] for k, v in value.items()]}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Fraction | Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is nothing that can be kept")


def _columns(values: Any, arrays: dict[str, Any], leave_out: frozenset[str]) -> Any:
    """Many dataclasses of one kind: a column per field, the arrays of a column end to end."""
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(values[0]):
        if field.name in leave_out:
            continue
        column = [getattr(value, field.name) for value in values]
        if all(isinstance(one, np.ndarray) and one.ndim for one in column):
            lengths = np.array([len(one) for one in column], np.int64)
            columns[field.name] = {
                "array": _kept(np.concatenate(column), arrays),
                "lengths": _kept(lengths, arrays),
            }
        else:
            columns[field.name] = {"values": [_down(one, arrays, leave_out) for one in column]}
    return {"many": columns, "count": len(values)}


def _kept(array: Any, arrays: dict[str, Any]) -> str:
    name = f"a{len(arrays)}"
    arrays[name] = array
    return name


def _up(hint: Any, value: Any, arrays: dict[str, Any]) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _up(next(one for one in inner if one is not type(None)), value, arrays)
    if isinstance(value, dict) and "array" in value:
        return arrays[value["array"]]
    if isinstance(value, dict) and "map" in value:
        of, to = inner or (Any, Any)
        return {_up(of, k, arrays): _up(to, v, arrays) for k, v in value["map"]}
    if isinstance(value, dict) and "many" in value:
        return origin(_many(inner[0], value, arrays))
    if isinstance(value, list):
        kind = origin or list
        if kind is tuple and inner and inner[-1] is not Ellipsis:
            return tuple(_up(one, v, arrays) for one, v in zip(inner, value, strict=True))
        each = inner[0] if inner else Any
        return kind(_up(each, one, arrays) for one in value)
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            return _one(hint, value["dataclass"], arrays)
        if issubclass(hint, Enum | Fraction | Path):
            return hint(value)
    return value


def _one(kind: Any, fields: dict[str, Any], arrays: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: _up(hints[name], value, arrays) for name, value in fields.items() if name in known})


def _many(kind: Any, value: dict[str, Any], arrays: dict[str, Any]) -> list[Any]:
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    columns: dict[str, Any] = {}
    for name, column in value["many"].items():
        if name not in known:
            continue
        if "array" in column:
            columns[name] = np.split(arrays[column["array"]], np.cumsum(arrays[column["lengths"]])[:-1])
        else:
            columns[name] = [_up(hints[name], one, arrays) for one in column["values"]]
    return [kind(**{name: column[n] for name, column in columns.items()}) for n in range(value["count"])]
