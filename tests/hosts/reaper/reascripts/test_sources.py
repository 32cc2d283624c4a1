"""What REAPER's interpreter demands of every script and module."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import stembridge_reaper
from stembridge_reaper.install.actions import Launcher, preset_actions, shipped_actions

from plugin_core._version import __version__
from plugin_core.presets import Preset
from tests.simulators.reaper.bindings import load_table

FOLDER = Path(stembridge_reaper.__file__).parent / "reascripts"
FILES = sorted(FOLDER.rglob("*.py"))
DEFINED: dict[Launcher, str] = {"lua": r"^function M\.", "python": "^def "}
LATER = {"removeprefix", "removesuffix", "is_relative_to", "with_stem", "readlink", "unparse"}
FORBIDDEN = {"threading", "asyncio", "multiprocessing", "concurrent", "numpy", "ctypes", "plugin_core"}


def imported(tree: ast.Module) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_source_is_ascii_old_and_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="ascii"), feature_version=(3, 8))
    assert imported(tree) <= (set(sys.stdlib_module_names) | {"reaper_python", "stembridge_scripts"}) - FORBIDDEN
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & (LATER | {"exit", "_exit", "abort"})
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & {"__file__", "exit", "quit", "SystemExit"}
    assert not any(isinstance(node, ast.Match) for node in ast.walk(tree))


def test_only_documented_functions_are_called_from_python() -> None:
    tree = ast.parse("\n".join(path.read_text(encoding="ascii") for path in FILES))
    called = {
        str(node.args[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
        if (isinstance(node.func, ast.Name) and node.func.id == "call")
        or (isinstance(node.func, ast.Attribute) and node.func.attr == "call")
    }
    assert len(called) > 40
    assert {f"RPR_{name}" for name in called if "%" not in name} <= set(load_table())


def test_only_functions_of_the_table_are_called_from_lua() -> None:
    """Also those that another launcher never gets to; a script is ASCII whatever REAPER would bear."""
    sources = [path.read_text(encoding="ascii") for path in FOLDER.rglob("*.lua")]
    called = {name for source in sources for name in re.findall(r"\b(?:r|reaper)\.(\w+)", source)}
    own = {"defer", "get_action_context", "time_precise", "genGuid", "ValidatePtr2", "ExecProcess", "GetOS"}
    assert len(called) > 40
    assert {f"RPR_{name}" for name in called - own} <= set(load_table())


@pytest.mark.parametrize("launcher", ["lua", "python"])
def test_headers_say_what_the_action_is(launcher: Launcher) -> None:
    made = preset_actions([Preset(name="four stems", operations=())], launcher)
    shipped = shipped_actions(launcher)
    entries: dict[Launcher, str] = {
        "lua": (FOLDER / "stembridge_scripts/launcher.lua").read_text(),
        "python": (FOLDER / "stembridge_scripts/actions.py").read_text(),
    }
    assert [one.title for one in shipped] == [one.title for one in shipped_actions("python")]
    for action in [*shipped, *made]:
        header = dict(re.findall(r"^(?:#|--) @(\w+) (.*)$", action.source, re.MULTILINE))
        assert header["description"] == action.title
        assert header["version"] == __version__
        assert header["author"]
        (called,) = re.findall(r"\.(\w+)\(.*\)$", action.source.rstrip().splitlines()[-1])
        assert re.search(DEFINED[launcher] + rf"{called}\(", entries[launcher], re.MULTILINE)
    assert made[0].file.startswith("stembridge_preset_four_stems_")


ODD_NAMES = ["\u4eba\u58f0", "\u00e4", "a'b\\"]
ODD = [Preset(name=name, title='T\u00eftle "x"\n', operations=()) for name in ODD_NAMES]


def test_preset_scripts_are_ascii_whatever_the_preset_is_called() -> None:
    actions = preset_actions(ODD, "python")
    assert len({action.file for action in actions}) == 3
    for action, name in zip(actions, ODD_NAMES, strict=True):
        tree = ast.parse(action.source.encode("ascii"))
        call = tree.body[-1]
        assert isinstance(call, ast.Expr)
        assert isinstance(call.value, ast.Call)
        assert ast.literal_eval(call.value.args[0]) == name
        assert '"' not in action.title


def test_lua_scripts_of_presets_are_ascii_whatever_the_preset_is_called() -> None:
    lua = pytest.importorskip("lupa.lua54").LuaRuntime()
    for action, name in zip(preset_actions(ODD, "lua"), ODD_NAMES, strict=True):
        action.source.encode("ascii")
        assert lua.eval(action.source.split("separate_by(")[1].rstrip(")\n")) == name
