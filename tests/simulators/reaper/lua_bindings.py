"""The table ``reaper`` as Lua sees it, by the same list of functions and over the same model as ``reaper_python``.

A pointer is an object that is equal to itself alone, NULL is nil, and what C fills comes back behind the result. As
strict as the true one, and stricter: a stale pointer, nil, a text for a number or a number for a boolean is an error.
"""

from __future__ import annotations

import ctypes
from typing import Any, Callable

from tests.simulators.reaper.bindings import load_table, pack_pointer, unpack_pointer

NOT_IN_LUA = {"RPR_ValidatePtr"}
READ_AND_FILLED = ("GetSet_LoopTimeRange2",)
"""Functions that also take the numbers which they fill."""


def make_runtime(**options: Any) -> Any:
    """Return a Lua that is never closed: lupa crashes where what Lua holds of Python holds something of Lua's."""
    from lupa import lua54

    runtime = lua54.LuaRuntime(unpack_returned_tuples=True, **options)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(runtime))
    return runtime


class Parameter:
    """One parameter of a function of C."""

    def __init__(self, prototype: str) -> None:
        self.kind, _, self.name = prototype.strip().rpartition(" ")
        self.is_size = self.name.endswith("_sz") or self.name == "ignored"
        self.is_out = "Out" in self.name
        is_text = self.kind == "char*"
        self.is_changed = is_text and not self.is_out
        self.default: Any = "" if is_text else 0


class LuaBindings:
    """The functions of one script.

    Args:
        reaper: the fake.
        runtime: the script's Lua.
    """

    def __init__(self, reaper: Any, runtime: Any) -> None:
        self._reaper = reaper
        self._runtime = runtime
        self._pointers: dict[tuple[str, int], Any] = {}
        self.deferred: list[Any] = []

    def table(self, path: str) -> Any:
        """Return the table for a script that lies there."""
        functions = {
            name[4:]: self._wrap(name[4:], spec) for name, spec in load_table().items() if name not in NOT_IN_LUA
        }
        functions.update(
            defer=self.deferred.append,
            get_action_context=lambda: (False, path, 0, 1, -1, 0, 0),
            time_precise=self._reaper.clock,
            genGuid=lambda _text: self._reaper.new_guid(),
            ValidatePtr2=self._validate,
            ExecProcess=self._reaper.ExecProcess,
            RecursiveCreateDirectory=self._reaper.RecursiveCreateDirectory,
            GetOS=lambda: "Other",
        )
        found = {name: one for name, one in functions.items() if name not in self._reaper.missing}
        return self._runtime.table_from(found)

    def _validate(self, project: Any, pointer: Any, kind: str) -> bool:
        assert project == 0
        given = self._address(pointer)
        return given is not None and given[0] == kind and bool(self._reaper.ValidatePtr(given[1], kind))

    def _wrap(self, name: str, spec: dict[str, Any]) -> Callable[..., Any]:
        result, _, rest = spec["cpp"].partition(f" {name}(")
        result = result.split(" ")[0]
        inner = rest.rstrip(")")
        parameters = [Parameter(one) for one in inner.split(",")] if inner else []
        for one in parameters if name in READ_AND_FILLED else ():
            one.is_changed, one.is_out = one.is_changed or one.is_out, False
        taken = [one for one in parameters if not one.is_size and not one.is_out]
        given_back = [one for one in parameters if one.is_out or one.is_changed]

        def call(*given: Any) -> Any:
            self._reaper.calls += 1
            if len(given) > len(taken):
                raise TypeError(f"{name} takes {len(taken)} arguments, not {len(given)}")
            values = iter([*given, *[None] * (len(taken) - len(given))])
            packed = [
                4096 if one.is_size else one.default if one.is_out else self._pack(name, one, next(values))
                for one in parameters
            ]
            answer = getattr(self._reaper, name)(*packed)
            is_optional_in = any(one.name.endswith("InOptional") for one in parameters)
            if is_optional_in and isinstance(answer, tuple):
                answer = answer[0]
            if not given_back:
                return self._unpack(result, answer)
            outs = [self._unpack(one.kind.rstrip("*"), each) for one, each in zip(given_back, answer[1:])]
            return tuple(outs) if result == "void" else (self._unpack(result, answer[0]), *outs)

        return call

    def _pack(self, name: str, parameter: Parameter, value: Any) -> Any:
        kind = parameter.kind.replace("const ", "")
        if kind in ("char*",):
            if not isinstance(value, str):
                raise TypeError(f"{name}: {parameter.name} is no text: {value!r}")
            return value
        if kind == "bool":
            if not isinstance(value, bool):
                raise TypeError(f"{name}: {parameter.name} is no boolean: {value!r}")
            return int(value)
        if kind in ("int", "double", "double*"):
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or (kind == "int" and value != int(value))
            ):
                raise TypeError(f"{name}: {parameter.name} is no {kind}: {value!r}")
            return int(value) if kind == "int" else float(value)
        if kind == "ReaProject*" and value in (0, None):
            return 0
        given = self._address(value)
        if given is None or not pack_pointer(self._reaper, kind, unpack_pointer(*given)):
            raise TypeError(f"bad argument to {name} ({kind} expected)")
        return given[1]

    def _unpack(self, kind: str, value: Any) -> Any:
        kind = kind.replace("const ", "")
        if kind in ("void", ""):
            return None
        if kind == "bool":
            return bool(value)
        if kind.endswith("*") and kind != "char*":
            return self._pointer(kind, value)
        return value

    def _pointer(self, kind: str, address: int) -> Any:
        if not address:
            return None
        if (kind, address) not in self._pointers:
            self._pointers[kind, address] = self._runtime.table_from({"address": address, "kind": kind})
        return self._pointers[kind, address]

    def _address(self, pointer: Any) -> tuple[str, int] | None:
        try:
            return str(pointer["kind"]), int(pointer["address"])
        except (TypeError, KeyError, ValueError):
            return None
