"""Help pages end with examples that are right, and a manual page is made of them all."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator

import click
import pytest

from plugin_core.cli.app import build_app
from plugin_core.cli.manual import escape, write_page
from plugin_core.console.context import Context
from plugin_core.console.groups import EXAMPLES, SuggestingGroup
from plugin_core.plugins import load_plugins


@pytest.fixture
def root() -> click.Context:
    return click.Context(build_app(), obj=Context(plugins=load_plugins()), info_name="stembridge")


def every(command: click.Command, ctx: click.Context, path: str = "stembridge") -> Iterator[tuple[str, click.Command]]:
    """Yield each command that people call, with its words."""
    if path != "stembridge":
        yield path, command
    for name in command.list_commands(ctx) if isinstance(command, click.Group) else ():
        assert isinstance(command, click.Group)
        each = command.get_command(ctx, name)
        if each is not None and not each.hidden:
            yield from every(each, ctx, f"{path} {name}")


def read(words: list[str], command: click.Command, parent: click.Context) -> None:
    """Read a command line as click does, and hold choices and numbers against their types; files need not exist."""
    with click.Context(command, parent=parent) as ctx:
        values, rest, _ = command.make_parser(ctx).parse_args(words)
        if isinstance(command, click.Group):
            if isinstance(command, SuggestingGroup) and command.unnamed and rest[0] not in command.commands:
                rest = [command.unnamed, *rest]
            found = command.get_command(ctx, rest[0]) if rest else None
            assert found is not None or command.invoke_without_command, words
            if found is not None:
                read(rest[1:], found, ctx)
            return
        assert rest == [], words
        for param in command.get_params(ctx):
            value = values.get(param.name or "")
            if isinstance(param, click.Argument) and param.required:
                assert value not in (None, ()), words
            if isinstance(value, str) and isinstance(param.type, click.Choice | click.types.IntParamType):
                param.type(value, param, ctx)


def test_each_command_has_examples_and_each_is_right(root: click.Context) -> None:
    missing = []
    for path, command in every(root.command, root):
        lines = (command.epilog or "").splitlines()
        if lines[:2] != ["\b", EXAMPLES] or len(lines) < 3:
            missing.append(path)
        for line in lines[2:]:
            assert len(line) <= 80
            words = shlex.split(line.rpartition("|")[2])
            words = words[words.index("stembridge") + 1 : words.index(">") if ">" in words else None]
            assert f"stembridge {' '.join(words)} ".startswith(f"{path} "), line
            read(words, root.command, root)
    assert missing == []


def test_the_manual_page_tells_of_everything(root: click.Context) -> None:
    page = list(write_page(root.obj))
    for path, command in every(root.command, root):
        assert f".SS {escape(path)}" in page
        for param in command.params:
            if isinstance(param, click.Option) and not param.hidden and path != "stembridge watch":
                assert any(line.startswith(".B") and escape(param.opts[0]) in line for line in page)
    assert [line for line in page if line.startswith((".", "'")) and not line.startswith((".S", ".T", ".B", ".P"))] == [
        line for line in page if line in (".RS", ".nf", ".fi", ".RE")
    ]
    assert escape(".x-y\\n") == "\\&.x\\-y\\en"


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="needs mandoc")
def test_mandoc_finds_nothing_wrong(root: click.Context) -> None:
    page = "\n".join(write_page(root.obj)) + "\n"
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning"], input=page, capture_output=True, text=True, check=False)
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


@pytest.mark.parametrize(("columns", "begin"), [(50, 24), (80, 34)])
def test_words_have_most_of_a_narrow_page(
    root: click.Context, monkeypatch: pytest.MonkeyPatch, columns: int, begin: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    command = root.command.get_command(root, "separate")  # type: ignore[attr-defined]
    page = command.get_help(click.Context(command, info_name="separate", parent=root))
    lines = page.partition("Options:")[2].partition("Examples:")[0].splitlines()
    begins = {len(line) - len(line.lstrip()) for line in lines if line.strip()} - {2}
    assert begins == {begin}
    assert max(map(len, lines)) <= columns
