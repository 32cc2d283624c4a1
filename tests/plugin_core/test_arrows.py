"""The direction of imports is the architecture: hosts -> core -> hooks -> providers, and never back."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import plugin_core

ROOT = Path(__file__).parents[2]
CORE = ROOT / "plugin_core"
OUR_HOSTS = ("stembridge_reaper", "stembridge_hot_folder", "stembridge_ui", "stembridge_beets", "beetsplug")
HOST_PACKAGES = (*OUR_HOSTS, "hosts")
CORE_FILES = sorted(CORE.rglob("*.py"))
PROVIDERS = sorted(folder.name for folder in (CORE / "providers").iterdir() if (folder / "plugin.py").exists())


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """Return every module a file imports, at any depth, relative imports resolved."""
    return tuple(_read_imports(path))


def _read_imports(path: Path) -> Iterator[str]:
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


# Whatever is said here of a folder is said in a sentence in CONTRIBUTING.md, "The house". A module of the core's top
# stands for itself; "commands" of a provider are what its plugin adds to the command line.
NOUNS = "abilities errors manifests model protocols settings wishes"
MAY_IMPORT = {
    "files": "errors model settings",
    "audio": "errors files model tasks",
    "recordings": "audio errors files model tasks",
    "purchases": "audio errors files model recordings",
    "stems": "audio errors files model stem_names tasks wishes",
    "sessions": "_version audio errors hookspecs model stem_names",
    "tags": "errors files manifests model settings wishes",
    "transfer": "_version errors files model settings tasks",
    "service": "audio errors files model protocols settings stem_names tasks transfer",
    "jobs": "errors files model protocols purchases recordings settings stems tasks transfer",
    "operations": f"_version audio files jobs purchases recordings registry sessions stem_names stems tags tasks"
    f" {NOUNS}",
    "stagers": "errors files hookspecs model protocols settings stores tasks transfer",
    "callbacks": "abilities errors model settings web_server",
    "worker": "errors files model tasks",
    "providers": f"audio callbacks files service stagers stem_names stores tasks transfer worker {NOUNS}",
    "commands": f"console hookspecs session stores files {NOUNS}",
    "console": f"audio plugins presets purchases session stem_names tags transfer {NOUNS}",
    "cli": f"_version audio callbacks console demo files hook_guard jobs operations plugins presets purchases"
    f" registry run session stem_names stems stores tasks web_server {NOUNS}",
    "wishes": "",
    "errors": "",
    "json_codec": "",
    "model": "json_codec wishes",
    "settings": "errors",
    "manifests": "",
    "protocols": "errors model settings",
    "abilities": "errors model settings",
    "tasks": "",
    "web_server": "errors tasks",
    "stem_names": "",
    "demo": "audio errors model",
    "hookspecs": "model protocols sessions settings",
    "hook_guard": "",
    "plugins": "errors hook_guard hookspecs",
    "registry": "abilities errors model plugins protocols sessions settings wishes",
    "presets": "errors manifests model settings stem_names tags wishes",
    "stores": "errors files jobs purchases settings transfer",
    "workshop": "errors jobs model operations plugins purchases registry settings stores tasks",
    "session": "errors files jobs model operations plugins protocols purchases registry settings stems stores tasks"
    " workshop wishes",
    "run": "errors model operations purchases session tasks",
    "_version": "",
    "__main__": "_version cli",
}
"""Of each part of the core, what of the rest of the core it may import, also for types."""
BELOW_ALL = {"_version", "errors", "manifests", "model", "settings", "stem_names", "tasks", "wishes"}
FRONT = "session run model wishes errors settings manifests presets tasks files console web_server"
HOSTS_MAY_IMPORT = {*FRONT.split(), *plugin_core.__all__}


def part_of(path: Path) -> str:
    """Return the part of the core that a file belongs to."""
    first, *rest = path.relative_to(CORE).with_suffix("").parts
    is_command = first == "providers" and rest[1:2] in (["commands"], ["plugin"])
    return "commands" if is_command else first


def core_imports(path: Path) -> set[str]:
    """Return the parts of the core, or its public names, that a file imports."""
    names = [name.split(".") for name in imports_of(path)]
    return {name[1] for name in names if name[0] == "plugin_core" and len(name) > 1}


def strangers(path: Path, allowed: set[str]) -> list[str]:
    """Return "file imports part" for each part that a file may not import."""
    return [f"{path.relative_to(ROOT)} imports {name}" for name in sorted(core_imports(path) - allowed)]


def offenders(files: list[Path], forbidden: tuple[str, ...]) -> list[str]:
    """Return "file imports module" for each import of a forbidden module or one below it."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imports_of(path)
        if any(name == module or name.startswith(module + ".") for module in forbidden)
    ]


def test_each_part_of_the_core_imports_what_it_may() -> None:
    found = [
        stranger
        for path in CORE_FILES
        if path != CORE / "__init__.py"
        for stranger in strangers(path, {*MAY_IMPORT[part_of(path)].split(), path.relative_to(CORE).parts[0]})
    ]
    assert found == []


def test_hosts_import_the_front_door_and_public_names_only() -> None:
    hosts = [path for path in sorted((ROOT / "hosts").rglob("*.py")) if "tests" not in path.parts]
    assert [stranger for path in hosts for stranger in strangers(path, HOSTS_MAY_IMPORT)] == []


def test_hosts_know_nothing_of_each_other() -> None:
    """What one shows of another it asks for by the command line, as programs do."""
    for host in sorted(path for path in (ROOT / "hosts").iterdir() if path.is_dir()):
        own = {path.name for path in host.iterdir()}
        others = tuple(name for name in OUR_HOSTS if name not in own)
        assert offenders(sorted(host.rglob("*.py")), others) == []


def test_every_part_has_its_sentence_that_says_what_the_table_says() -> None:
    house = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## The house")[1].split("\n## ")[0]
    sentences = dict(re.findall(r"^- `(\w+)(?:/|\.py|)`(.*?)(?=\n- |\Z)", house, re.MULTILINE | re.DOTALL))
    folders = {path.parent.name for path in CORE.glob("*/__init__.py")}
    assert {*folders, "hosts", "manifests", "tests"} <= set(sentences)
    assert {name for name in MAY_IMPORT if name not in house and not name.startswith("_")} == set()
    for name, sentence in sentences.items():
        words = re.search(r"imports?\s(.*?)\.(?:\s|\Z)", sentence, re.DOTALL)
        told = set(re.findall(r"`(\w+)`", words[1])) if words is not None else set()
        allowed = {"hosts": FRONT, "tests": "", "manifests": ""}.get(name) or MAY_IMPORT.get(name, "")
        assert told - BELOW_ALL == {*allowed.split()} - BELOW_ALL, name


def test_every_public_name_can_be_had() -> None:
    """They are imported when they are first asked for, which no type checker sees."""
    assert [name for name in plugin_core.__all__ if not hasattr(plugin_core, name)] == []


def test_core_never_imports_a_host() -> None:
    assert offenders(CORE_FILES, HOST_PACKAGES) == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_provider_stands_alone(provider: str) -> None:
    """Another provider is reached through hooks, as everybody else is; nobody imports a provider."""
    own = sorted((CORE / "providers" / provider).rglob("*.py"))
    others = [path for path in CORE_FILES if path not in own]
    assert offenders(others, (f"plugin_core.providers.{provider}",)) == []


def test_no_imports_run_in_a_circle() -> None:
    """Also those that only types need: what belongs together stands together, or below both."""
    above = {name: set(imports) for name, imports in graph().items()}
    while leaves := [name for name, imports in above.items() if not imports]:
        for name in leaves:
            del above[name]
        for imports in above.values():
            imports.difference_update(leaves)
    assert above == {}


def graph() -> dict[str, set[str]]:
    """Return which of our modules each of them imports, for types as well."""
    roots = [CORE, *sorted((ROOT / "hosts").glob("*/stembridge_*"))]
    modules = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for root in roots
        for path in sorted(root.rglob("*.py"))
    }
    found = {name: {each for each in imports_of(path) if each in modules} for name, path in modules.items()}
    # Of "from a import b" with a module b, only that is meant.
    return {
        name: {each for each in imports - {name} if not any(other.startswith(f"{each}.") for other in imports)}
        for name, imports in found.items()
    }


OPTIONAL = {"boto3", "botocore", "keyring", "obstore", "onnxruntime", "PIL", "psycopg", "starlette", "uvicorn"}
"""What comes with the extras alone; beets is there where its plugin is loaded."""
NEED_EXTRAS = {"callbacks.server", "files.postgresql", "jobs.presence", "web_server"}


def eager_imports_of(path: Path) -> set[str]:
    """Return what importing a file imports: nothing within functions, for types alone, or that may be missing."""
    found: set[str] = set()
    todo: list[ast.stmt] = list(tree_of(path).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.ClassDef):
            todo += node.body
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            todo += [*node.body, *node.orelse]
    return found


def test_what_comes_with_extras_is_imported_where_it_is_needed_alone() -> None:
    """Without them everything else works: nothing but these few modules imports what imports one of them."""
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): eager_imports_of(path) for path in CORE_FILES}
    need: set[str] = set()
    while more := {
        name
        for name, imports in modules.items()
        if name not in need and (imports & need or OPTIONAL & {each.partition(".")[0] for each in imports})
    }:
        need |= more
    assert {name.removeprefix("plugin_core.") for name in need} == NEED_EXTRAS


def test_a_class_name_stands_once() -> None:
    files = [*CORE_FILES, *sorted((ROOT / "hosts").rglob("*.py"))]
    names = Counter(node.name for path in files for node in tree_of(path).body if isinstance(node, ast.ClassDef))
    assert {name for name, count in names.items() if count > 1} == set()


def test_no_file_is_longer_than_a_reader_bears() -> None:
    files = [*CORE_FILES, *sorted((ROOT / "hosts").rglob("*.py"))]
    lines = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in files}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_the_check_itself_sees_imports(tmp_path: Path) -> None:
    path = CORE / "session.py"
    assert "plugin_core.settings" in set(imports_of(path))
    assert offenders([path], ("plugin_core.jobs",)) != []
    assert strangers(path, {"jobs"}) != []
