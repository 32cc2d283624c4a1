"""The provider's README says what is true: its settings, its stems, and every endpoint, method and command."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import click
import msgspec
import pytest

from plugin_core.cli.app import build_app
from plugin_core.console.context import Context
from plugin_core.providers.mvsep import client
from plugin_core.providers.mvsep.caller import MvsepSettings
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.job_calls import PHASES
from plugin_core.providers.mvsep.models import MEANS
from plugin_core.providers.mvsep.options import OURS
from tests.simulators.mvsep.endpoints import ENDPOINTS

FOLDER = Path(client.__file__).parent
README = (FOLDER / "README.md").read_text("utf-8")
ROWS = re.findall(
    r"^\| (GET|POST) `([a-z_/-]+)`(?: \*)? \| `([a-z_]+)` \| `stembridge ([a-z -]+)` \| `test", README, re.M
)
TESTED = re.findall(r"^\| (.*?) \|.* \| (`test_\w+::.*) \|$", README, re.M)
UNUSED = {"app/purchases", "app/credit_alert"}
"""Served by the simulator and of no use here."""


def test_is_short() -> None:
    assert len(README.splitlines()) < 210
    assert len(ROWS) == 23


def test_has_every_endpoint() -> None:
    served = {(verb, path) for path, verbs in ENDPOINTS.items() for verb in verbs if path not in UNUSED}
    listed = {(verb, path) for verb, path, *_ in ROWS}
    assert listed <= served
    assert {path for _, path in listed} == {path for _, path in served}


def test_every_field_that_can_be_sent_has_a_row() -> None:
    said = set(re.findall(r"`([a-z_0-9]+)`", "".join(row for row, _ in TESTED)))
    sent = {"audiofile", "target_audiofile", "reference_audiofile", "url", "remote_type", "sep_type", "api_token"}
    assert sent | set(OURS) - {"reference"} <= said
    assert {phase for phase in PHASES if phase != "canceled"} <= said


def test_every_row_names_tests_that_there_are() -> None:
    named = {name for _, tests in TESTED for name in re.findall(r"`(\w+)::(\w+)`", tests)}
    for module, test in named:
        text = Path(__file__).with_name(f"{module}.py").read_text("utf-8")
        assert f"def {test}(" in text, (module, test)
    assert len(TESTED) > 23 + 20 + 7 + 10
    heads = ("| endpoint |", "| field |", "| state |", "| error |")
    lines = README.partition("## Every endpoint")[2].splitlines()
    assert len([line for line in lines if line[:2] == "| " and not line.startswith(heads)]) == len(TESTED)


def test_has_every_method_of_the_client() -> None:
    methods = {name for name, value in vars_of(MvsepClient).items() if callable(value) and not name.startswith("_")}
    assert methods - {"download", "origin_of"} == {method for _, _, method, _ in ROWS}


@pytest.mark.parametrize(("verb", "path", "method"), [row[:3] for row in ROWS], ids=[row[1] for row in ROWS])
def test_an_endpoint_is_asked_by_its_method(verb: str, path: str, method: str) -> None:
    texts = texts_of(method)
    # Enabling and disabling are one method, which puts the word together.
    tail = re.sub(r"^app/(enable|disable)", "", path)
    assert any(text.endswith(tail) for text in texts), f"{method} asks {texts}, not {verb} {path}"


@pytest.mark.parametrize("words", sorted({command for *_, command in ROWS}))
def test_a_command_exists(words: str, home: Path) -> None:
    command: click.Command | None = build_app()
    with click.Context(build_app(), obj=Context()) as context:
        for word in words.split():
            assert isinstance(command, click.Group)
            command = command.get_command(context, word)
    assert command is not None
    assert not isinstance(command, click.Group)


def test_has_every_setting_with_its_default() -> None:
    section = README.partition("## Settings")[2].partition("\n## ")[0]
    told: dict[str, str] = {}
    for keys, defaults in re.findall(r"^\| (`.*?`) \| (.*?) ?\| ", section, re.M):
        names, values = re.findall(r"`(.*?)`", keys), re.findall(r"`(.*?)`", defaults)
        told |= dict(zip(names, values or [""] * len(names), strict=True))
    real = {name: getattr(MvsepSettings(), name) for name in MvsepSettings.__struct_fields__}
    assert set(told) == set(real)
    for name, value in real.items():
        field = next(one for one in msgspec.structs.fields(MvsepSettings) if one.name == name)
        shown = value if field.type is str or not value else msgspec.json.encode(value).decode().removesuffix(".0")
        assert told[name] == ("false" if value is False else shown or ""), name


def test_its_stems_are_those_of_the_table() -> None:
    assert (MEANS["Other (no drums)"], MEANS["Instrumental (no dialog)"]) == ("no-drums", "no-speech")
    assert MEANS["Drums: kick"] == "kick"


def vars_of(kind: type) -> dict[str, object]:
    return {name: value for base in reversed(kind.__mro__[:-1]) for name, value in vars(base).items()}


def texts_of(method: str) -> list[str]:
    """Return the texts in a method's source that can be the end of a path."""
    for path in [*FOLDER.glob("*_calls.py"), FOLDER / "client.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.AsyncFunctionDef) and node.name == method:
                found = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
                return [text for text in found if isinstance(text, str) and "\n" not in text and len(text) > 3]
    raise AssertionError(f"no method {method}")
