"""Reads the tensors of a file of weights, and nothing else: ``.pth`` of torch, zip and legacy, and safetensors.

A ``.pth`` is indexed by a pickle, a programme that may do anything. It is not run: the few instructions that torch
writes for a table of tensors are followed here, in data alone, and any other is refused.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin_core.errors import SettingsError, StembridgeError
from plugin_core.model import disarm, show_path

Tensors = dict[str, NDArray[Any]]

MOST_INDEX: Final = 1 << 20
"""Bytes of an index; that of the largest model here has a tenth."""
MOST_BYTES: Final = 1 << 30
"""Bytes of all tensors together."""
MOST_RECORDS: Final = 4096
_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_STORAGES: Final = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
_SAFE: Final = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


class _RefusedError(Exception):
    """Why a file is not read, to be said with its name."""


def read_tensors(path: Path) -> Tensors:
    """Return the tensors of a file by name.

    Raises:
        SettingsError: it is damaged, or more than tensors; nothing of it was run.
    """
    damages = (IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error, zipfile.BadZipFile)
    try:
        with path.open("rb") as file:
            return _read(file)
    except _RefusedError as error:
        why = str(error)
    except OSError as error:
        why = error.strerror or str(error)
    # What zipfile says of features that nobody here uses, and of passwords.
    except (*damages, NotImplementedError, RuntimeError, EOFError, RecursionError):
        why = "it is damaged"
    raise spoilt(path, why)


def spoilt(path: Path, why: str) -> StembridgeError:
    """Return the error about a file of weights that cannot be used."""
    return SettingsError(
        f"{show_path(path)}: {disarm(why)}; nothing of it was run", remedy="remove the file, and fetch it again"
    )


def _read(file: IO[bytes]) -> Tensors:
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(9)
    file.seek(0)
    if head[:4] == b"PK\x03\x04":
        return _read_zip(file)
    if head[8:] == b"{":
        return _read_safetensors(file, size)
    if head[:1] == b"\x80":
        return _read_legacy(file)
    raise _RefusedError("it holds no tensors")


class _Storage(NamedTuple):
    dtype: np.dtype[Any]
    key: str
    length: int


class _TensorView(NamedTuple):
    """A tensor, before its samples are read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Global(NamedTuple):
    """Something of Python's or torch's that an index names."""

    module: str
    name: str


_TABLE: Final = _Global("collections", "OrderedDict")
_TENSOR: Final = _Global("torch._utils", "_rebuild_tensor_v2")
_PARAMETER: Final = _Global("torch._utils", "_rebuild_parameter")
_MARK: Final = object()


class _Index:
    """Follows the instructions of an index, in data alone.

    Args:
        data: the file's beginning.
    """

    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}  # a table: one entry of a high number takes no room

    def follow(self) -> Any:
        """Return what one programme leaves.

        Raises:
            _RefusedError: it would do more than name tensors.
        """
        self._stack, self._memo = [], {}
        while (code := self._take(1)) != b".":
            self._do(code)
        return self._stack.pop()

    def _do(self, code: bytes) -> None:
        stack = self._stack
        match code:
            case b"\x80":
                self._take(1)
            case b"(":
                stack.append(_MARK)
            case b"}":
                stack.append({})
            case b"]":
                stack.append([])
            case b")":
                stack.append(())
            case b"N":
                stack.append(None)
            case b"\x88" | b"\x89":
                stack.append(code == b"\x88")
            case b"K" | b"M":
                stack.append(self._number(1 if code == b"K" else 2))
            case b"J":
                stack.append(self._number(4, signed=True))
            case b"\x8a":
                stack.append(self._number(self._number(1), signed=True))
            case b"X":
                stack.append(self._take(self._number(4)).decode())
            case b"c":
                stack.append(_Global(self._line(), self._line()))
                _check_global(stack[-1])
            case b"q" | b"r":
                self._memo[self._number(1 if code == b"q" else 4)] = stack[-1]
            case b"h" | b"j":
                stack.append(self._memo[self._number(1 if code == b"h" else 4)])
            case b"\x85" | b"\x86" | b"\x87":
                count = code[0] - 0x84
                if len(stack) < count:
                    raise _RefusedError("it is damaged")
                stack[-count:] = [tuple(stack[-count:])]
            case b"t":
                stack.append(tuple(self._marked()))
            case b"s":
                value, key = stack.pop(), stack.pop()
                _expect(stack[-1], dict)[_expect(key, str)] = value
            case b"u":
                items = self._marked()
                # Texts alone: to hash a tuple within a million tuples would end the process.
                keys = [_expect(key, str) for key in items[::2]]
                _expect(stack[-1], dict).update(zip(keys, items[1::2], strict=True))
            case b"a":
                value = stack.pop()
                _expect(stack[-1], list).append(value)
            case b"e":
                items = self._marked()
                _expect(stack[-1], list).extend(items)
            case b"Q":
                stack.append(_storage(stack.pop()))
            case b"R":
                arguments, what = stack.pop(), stack.pop()
                stack.append(_rebuild(what, _expect(arguments, tuple)))
            case b"b":
                stack.pop()  # attributes of the table, of versions: nothing wants them
            case _:
                raise _RefusedError("it is no plain table of tensors")

    def _marked(self) -> list[Any]:
        place = len(self._stack) - 1
        while place >= 0 and self._stack[place] is not _MARK:
            place -= 1
        if place < 0:
            raise _RefusedError("it is damaged")
        items = self._stack[place + 1 :]
        del self._stack[place:]
        return items

    def _take(self, count: int) -> bytes:
        if self.at + count > len(self._data):
            raise _RefusedError("it is cut short, or its index is too long")
        self.at += count
        return self._data[self.at - count : self.at]

    def _number(self, count: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._take(count), "little", signed=signed)

    def _line(self) -> str:
        end = self._data.find(b"\n", self.at, self.at + 200)
        if end < 0:
            raise _RefusedError("it is damaged")
        return self._take(end + 1 - self.at)[:-1].decode("ascii")


def _expect(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise _RefusedError("it is damaged")
    return value


def _check_global(named: _Global) -> None:
    is_storage = named.module == "torch" and named.name in _STORAGES
    if not is_storage and named not in (_TABLE, _TENSOR, _PARAMETER):
        raise _RefusedError(f"it names {named.module}.{named.name}, and so is more than tensors")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MOST_BYTES


def _storage(said: Any) -> _Storage:
    what, kind, key, _place, count, *more = _expect(said, tuple)
    is_plain = what == "storage" and isinstance(kind, _Global) and kind.name in _STORAGES and more in ([], [None])
    if not is_plain or not (isinstance(key, str) and key.isalnum() and key.isascii()) or not _is_count(count):
        raise _RefusedError("it names a storage that is none")
    return _Storage(np.dtype(_STORAGES[kind.name]), key, count)


def _rebuild(what: Any, arguments: tuple[Any, ...]) -> Any:
    if what == _TABLE and not arguments:
        return {}
    if what == _PARAMETER and arguments and isinstance(arguments[0], _TensorView):
        return arguments[0]
    if what != _TENSOR or len(arguments) < 4:
        raise _RefusedError("it is no plain table of tensors")
    storage, offset, shape, strides = arguments[:4]
    is_plain = type(shape) is tuple and type(strides) is tuple and len(shape) == len(strides) <= 8
    if not isinstance(storage, _Storage) or not is_plain or not all(map(_is_count, (offset, *shape, *strides))):
        raise _RefusedError("it names a tensor that is none")
    return _TensorView(storage, offset, shape, strides)


def _views(tree: Any) -> dict[str, _TensorView]:
    views = {
        key: view for key, view in _expect(tree, dict).items() if type(key) is str and isinstance(view, _TensorView)
    }
    if not views:
        raise _RefusedError("it is no table of tensors")
    if sum(math.prod(view.shape) * view.storage.dtype.itemsize for view in views.values()) > MOST_BYTES:
        raise _RefusedError("its tensors are too large")
    return views


def _array(view: _TensorView, data: bytes) -> NDArray[Any]:
    """Return a copy of its own; a view that a storage does not hold, or that repeats it, is refused."""
    storage, offset, shape, strides = view
    if len(data) != storage.length * storage.dtype.itemsize:
        raise _RefusedError("it is cut short")
    last = offset + sum((count - 1) * stride for count, stride in zip(shape, strides, strict=True))
    if math.prod(shape) > storage.length or (all(shape) and last >= storage.length):
        raise _RefusedError("a tensor reaches beyond its storage")
    if not all(shape):
        return np.empty(shape, storage.dtype)
    flat = np.frombuffer(data, storage.dtype)[offset:]
    steps = [stride * storage.dtype.itemsize for stride in strides]
    return np.array(np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False))


def _read_zip(file: IO[bytes]) -> Tensors:
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
        indexes = [one for one in records if one.filename.count("/") == 1 and one.filename.endswith("/data.pkl")]
        if len(records) > MOST_RECORDS or len(indexes) != 1 or indexes[0].file_size > MOST_INDEX:
            raise _RefusedError("it is no archive of torch's")
        if any(one.compress_type or one.flag_bits & 1 or one.file_size > MOST_BYTES for one in records):
            raise _RefusedError("it is packed, as torch packs nothing")
        root = indexes[0].filename.removesuffix("data.pkl")
        with suppress(KeyError):
            if archive.read(f"{root}byteorder") != b"little":
                raise _RefusedError("its numbers are of another byte order")
        views = _views(_Index(archive.read(indexes[0])).follow())
        found: dict[str, bytes] = {}
        for storage in {view.storage.key: view.storage for view in views.values()}.values():
            record = archive.getinfo(f"{root}data/{storage.key}")
            if record.file_size != storage.length * storage.dtype.itemsize:
                raise _RefusedError("it is cut short")
            found[storage.key] = archive.read(record)  # which checks its CRC
        return {name: _array(view, found[view.storage.key]) for name, view in views.items()}


def _read_legacy(file: IO[bytes]) -> Tensors:
    index = _Index(file.read(MOST_INDEX))
    if index.follow() != _MAGIC or index.follow() != _PROTOCOL:
        raise _RefusedError("it holds no tensors")
    if _expect(index.follow(), dict).get("little_endian") is not True:
        raise _RefusedError("its numbers are of another byte order")
    views, keys = _views(index.follow()), _expect(index.follow(), list)
    storages = {view.storage.key: view.storage for view in views.values()}
    if sorted(keys) != sorted(storages):
        raise _RefusedError("it holds other storages than it names")
    file.seek(index.at)
    found: dict[str, bytes] = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        if count != storages[key].length:
            raise _RefusedError("it holds other storages than it names")
        found[key] = file.read(count * storages[key].dtype.itemsize)
    if file.read(1):
        raise _RefusedError("something follows its end")
    return {name: _array(view, found[view.storage.key]) for name, view in views.items()}


def _read_safetensors(file: IO[bytes], size: int) -> Tensors:
    (length,) = struct.unpack("<Q", file.read(8))
    if length > MOST_INDEX or 8 + length > size or size > MOST_BYTES:
        raise _RefusedError("it is cut short, or its index is too long")
    entries: Mapping[str, Any] = _expect(json.loads(file.read(length)), dict)
    tensors: Tensors = {}
    at = 0
    for name, entry in sorted(_expect_offsets(entries), key=lambda each: each[1]["data_offsets"]):
        dtype, shape, (start, end) = np.dtype(_SAFE[entry["dtype"]]), entry["shape"], entry["data_offsets"]
        if start != at or not all(map(_is_count, shape)) or end - start != dtype.itemsize * math.prod(shape):
            raise _RefusedError("it is damaged")
        data = file.read(end - start) if end <= size else b""
        if len(data) != end - start:
            raise _RefusedError("it is cut short")
        tensors[name], at = np.frombuffer(data, dtype).reshape(shape), end
    if 8 + length + at != size:
        raise _RefusedError("it is cut short, or something follows its end")
    return tensors


def _expect_offsets(entries: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, entry) for name, entry in entries.items() if name != "__metadata__"]
