"""``reaper_python`` as REAPER generates it: names, arguments, conversions and results by the reference's table.

Strict where the true one is strict (argument count, floats for integers, short pointers) and silent where it is silent:
a pointer that is stale, of another type or no pointer at all becomes NULL.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import types
from typing import Any, Callable

_POINTER = re.compile(r"^\((\w+\*|HWND)\)0x([0-9A-F]+)$")
BUFFER = 4 * 1024 * 1024
"""Bytes behind every text that a function may fill."""
is_costly = False
"""Whether those bytes are had and cleared at each call, as in the true module."""

_TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reascript_api.json")


def load_table() -> dict[str, Any]:
    """Return every function whose wrapper the generator makes, by its name with ``RPR_``."""
    with open(_TABLE, encoding="utf-8") as opened:
        table = json.load(opened)
    known = {**table["functions"], **table["extras"]}
    return {name: spec for name, spec in known.items() if spec.get("cpp") and all("c" in one for one in spec["args"])}


def make_module(reaper: Any) -> types.ModuleType:
    """Return a module over a fake REAPER; ``missing`` functions raise KeyError when called."""
    module = types.ModuleType("reaper_python")
    for name, spec in load_table().items():
        setattr(module, name, _wrapper(reaper, name, spec))
    return module


def pack_pointer(reaper: Any, kind: str, value: object) -> int:
    """Return the address a wrapper hands on."""
    found = _POINTER.match(value) if isinstance(value, str) else None
    if not found:
        return 0
    kind_given, digits = found.groups()
    int(digits[:-8], 16)  # raises ValueError for 8 digits or fewer, as the true module does
    if kind not in (kind_given, "void*"):
        return 0
    address = int(digits, 16)
    return address if reaper.ValidatePtr(address, kind_given) else 0


def unpack_pointer(kind: str, address: int) -> str:
    """Return the text that stands for an address."""
    return "(%s)0x%016X" % (kind, address)


class _Argument:
    def __init__(self, spec: dict[str, str]) -> None:
        self.type, _, rest = spec["c"].partition(" ")
        self.is_buffer = "writable buffer" in rest
        self.is_out = self.is_buffer or self.type.endswith("*")
        self.kind = rest[1:].partition(")")[0]

    def pack(self, reaper: Any, value: Any) -> Any:
        if self.type == "c_uint64":
            return pack_pointer(reaper, self.kind, value)
        if self.is_buffer:
            if is_costly:
                ctypes.create_string_buffer(BUFFER)
            if len(str(value).encode("utf-8")) > BUFFER:
                raise ValueError("byte string too long")
        if self.is_buffer or self.type == "c_char_p":
            return str(value).encode("utf-8").split(b"\0")[0].decode("utf-8")
        return getattr(ctypes, self.type.rstrip("*"))(value).value

    def unpack(self, given: Any, out: Any) -> Any:
        if not self.is_out:
            return given
        if self.is_buffer and isinstance(out, bytes):
            return out.decode("utf-8")
        return getattr(ctypes, self.type.rstrip("*"))(out).value if not self.is_buffer else out


def _wrapper(reaper: Any, name: str, spec: dict[str, Any]) -> Callable[..., Any]:
    arguments = [_Argument(one) for one in spec["args"]]
    returned = spec["c_return"]
    result_kind = spec["cpp"].split(" ")[0]
    short = name[4:]

    def call(*given: Any) -> Any:
        if len(given) != len(arguments):
            raise TypeError("%s() takes %d arguments, not %d" % (name, len(arguments), len(given)))
        reaper.calls += 1
        if short in reaper.missing:
            raise KeyError(short)
        packed = [argument.pack(reaper, value) for argument, value in zip(arguments, given)]
        answer = getattr(reaper, short)(*packed)
        outs = [argument for argument in arguments if argument.is_out]
        if not outs:
            return _result(returned, result_kind, answer)
        return _tuple(arguments, given, returned, result_kind, answer)

    call.__name__ = name
    return call


def _tuple(
    arguments: list[_Argument], given: tuple[Any, ...], returned: str, kind: str, answer: Any
) -> tuple[Any, ...]:
    value, rest = answer[0], list(answer[1:])
    shown = [argument.unpack(old, rest.pop(0) if argument.is_out else None) for argument, old in zip(arguments, given)]
    for number, argument in enumerate(arguments[:-1]):
        # C may trust the size that follows a buffer, and writes no more.
        if argument.is_buffer and isinstance(given[number + 1], int) and arguments[number + 1].type == "c_int":
            shown[number] = shown[number].encode("utf-8")[: max(0, given[number + 1] - 1)].decode("utf-8")
    return tuple(shown) if returned == "None" else (_result(returned, kind, value), *shown)


def _result(returned: str, kind: str, answer: Any) -> Any:
    if returned == "None":
        return None
    if returned == "c_uint64":
        return unpack_pointer(kind, answer)
    if returned == "c_char_p":
        if answer is None:
            raise AttributeError("'NoneType' object has no attribute 'decode'")
        return answer
    return getattr(ctypes, returned)(answer).value
