"""The direction of imports is the architecture: hosts -> core -> hooks -> providers, and never back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "plugin_core"
HOST_PACKAGES = ("stembridge_reaper", "stembridge_hot_folder", "beetsplug", "hosts")
CORE_FILES = sorted(CORE.rglob("*.py"))
PROVIDERS = sorted(folder.name for folder in (CORE / "providers").iterdir() if (folder / "plugin.py").exists())


def imports_of(path: Path) -> Iterator[str]:
    """Yield every module a file imports, at any depth, relative imports resolved."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def offenders(files: list[Path], forbidden: tuple[str, ...]) -> list[str]:
    """Return "file imports module" for each import of a forbidden module or one below it."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files
        for name in imports_of(path)
        if any(name == module or name.startswith(module + ".") for module in forbidden)
    ]


def test_core_never_imports_a_host() -> None:
    assert offenders(CORE_FILES, HOST_PACKAGES) == []


def test_wishes_and_errors_import_nothing_of_ours_and_nouns_only_wishes() -> None:
    assert offenders([CORE / "wishes.py", CORE / "errors.py"], ("plugin_core",)) == []
    assert {name for name in imports_of(CORE / "model.py") if name.split(".")[0] == "plugin_core"} == {
        "plugin_core.wishes",
        *(f"plugin_core.wishes.{name}" for name in ("OnOverload", "Operation", "Separation", "Tagging")),
    }


@pytest.mark.parametrize("provider", PROVIDERS)
def test_provider_stands_alone(provider: str) -> None:
    others = tuple(f"plugin_core.providers.{name}" for name in PROVIDERS if name != provider)
    core = tuple(f"plugin_core.{part}" for part in ("jobs", "stems", "tags", "operations", "cli"))
    files = sorted((CORE / "providers" / provider).rglob("*.py"))
    assert offenders(files, others + core) == []
    # What people call may show things, and its plugin names it; a client and an adapter know no screen.
    silent = [path for path in files if "commands" not in (path.parent.name, path.stem) and path.name != "plugin.py"]
    assert offenders(silent, ("plugin_core.console", "plugin_core.session")) == []


def test_the_command_line_knows_no_provider_and_is_known_by_nobody() -> None:
    cli = sorted((CORE / "cli").rglob("*.py"))
    assert offenders(cli, ("plugin_core.providers",)) == []
    hosts = [path for path in sorted((ROOT / "hosts").rglob("*.py")) if "tests" not in path.parts]
    others = [path for path in CORE_FILES if path not in cli and path != CORE / "__main__.py"]
    assert offenders(hosts + others, ("plugin_core.cli",)) == []


def test_what_is_shown_knows_nobody_who_shows_it() -> None:
    console = sorted((CORE / "console").rglob("*.py"))
    assert offenders(console, ("plugin_core.cli", "plugin_core.providers", *HOST_PACKAGES)) == []


@pytest.mark.parametrize("part", ["audio", "stems", "tags", "jobs", "operations", "recordings"])
def test_inner_parts_know_neither_providers_nor_faces(part: str) -> None:
    forbidden = (
        "plugin_core.providers",
        "plugin_core.cli",
        "plugin_core.console",
        "plugin_core.session",
        "plugin_core.plugins",
    )
    assert offenders(sorted((CORE / part).rglob("*.py")), forbidden) == []


def test_only_the_audio_part_reads_nothing_of_the_rest() -> None:
    above = tuple(f"plugin_core.{part}" for part in ("jobs", "stems", "tags", "operations", "recordings"))
    assert offenders(sorted((CORE / "audio").rglob("*.py")), above) == []


def test_files_are_beneath_everything() -> None:
    allowed = ("plugin_core.errors", "plugin_core.model", "plugin_core.files")
    used = {name for path in sorted((CORE / "files").rglob("*.py")) for name in imports_of(path)}
    assert [name for name in used if name.startswith("plugin_core.") and not name.startswith(allowed)] == []


def test_recordings_know_only_audio_and_files() -> None:
    parts = ("audio", "errors", "files", "ids", "model", "recordings")
    allowed = tuple(f"plugin_core.{part}" for part in parts)
    used = {name for path in sorted((CORE / "recordings").rglob("*.py")) for name in imports_of(path)}
    assert [name for name in used if name.startswith("plugin_core.") and not name.startswith(allowed)] == []


def test_tags_know_nothing_of_stems() -> None:
    assert offenders(sorted((CORE / "tags").rglob("*.py")), ("plugin_core.stems",)) == []


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


def test_the_check_itself_sees_imports(tmp_path: Path) -> None:
    path = CORE / "session.py"
    assert "plugin_core.settings" in set(imports_of(path))
    assert offenders([path], ("plugin_core.jobs",)) != []
