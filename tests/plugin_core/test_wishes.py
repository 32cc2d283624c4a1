"""A wish is declared once: option, preset key and settings key follow from it, with its bounds and its default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import click
import msgspec
import pytest
from click.testing import CliRunner

from plugin_core.console import options
from plugin_core.errors import SettingsError
from plugin_core.model import Separation, Tagging
from plugin_core.presets import PresetSeparation, PresetTagging
from plugin_core.settings import Settings
from plugin_core.wishes import SEPARATE, STEMS, TAGS, Said, said_of, with_keys_of

Loudness = Annotated[float, msgspec.Meta(ge=-30, le=0)]


class Mastering(msgspec.Struct, frozen=True, kw_only=True):
    """A wish as a newcomer would declare it."""

    provider: Annotated[str, Said("Who masters.", "NAME", setting=str, default="me")]
    loudness: Annotated[float, Said("How loud.", "DB", setting=Loudness, by_dimension="single")] = -14.0
    single: Annotated[dict[str, float], Said(setting=dict[str, Loudness])] = {}
    dither: Annotated[bool, Said("Noise.", setting=bool)] = False
    shape: Annotated[str, Said("Of the noise.", setting=Literal["flat", "tilted"])] = "flat"
    inner: str = ""


class MasteringKeys(msgspec.Struct, frozen=True, kw_only=True):
    limit: int = 3


MASTERING = with_keys_of(Mastering, MasteringKeys)


def read(home: Path, text: str) -> MasteringKeys:
    (home / "config.toml").write_text(text)
    return Settings(home, environ={"STEMBRIDGE_MASTER_SHAPE": "tilted"}).section("master", MASTERING)


def test_settings_come_from_the_declaration(home: Path) -> None:
    home.mkdir(exist_ok=True)
    found = read(home, "[master]\nloudness = -9\nlimit = 4\n")
    assert msgspec.structs.asdict(found) == {
        "provider": "me",
        "loudness": -9.0,
        "single": {},
        "dither": False,
        "shape": "tilted",
        "limit": 4,
    }
    with pytest.raises(SettingsError, match=r"line 2: \[master\] loudness: .*from -30 to 0"):
        read(home, "[master]\nloudness = 3\n")
    with pytest.raises(SettingsError, match="unknown key 'inner'"):
        read(home, "[master]\ninner = 'x'\n")


def test_options_come_from_the_declaration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "_SECTIONS", {Mastering: "master"})
    heard: list[dict[str, object]] = []

    @click.command()
    @options.wish_options(Mastering)
    def command(**said: object) -> None:
        heard.append(options.split_options(Mastering, said)[0])

    def run(*words: str) -> int:
        return CliRunner().invoke(command, words).exit_code

    assert run("--provider", "you", "--loudness", "-9,kick=-12", "--no-dither", "--shape", "TILTED") == 0
    said = {"provider": "you", "loudness": (-9.0, {"kick": -12.0}), "dither": False, "shape": "tilted"}
    assert (run(), heard) == (0, [said, {}])
    assert [run("--inner", "x"), run("--single", "x"), run("--shape", "round"), run("--provider", " ")] == [2] * 4
    text = CliRunner().invoke(command, ["--help"]).output
    assert "Of the noise. Setting: [master] shape." in " ".join(text.split())


def test_every_key_of_the_settings_is_a_field_and_every_field_a_key_of_presets() -> None:
    declared = (
        (Separation, SEPARATE, "", PresetSeparation),
        (Separation, STEMS, "stems", PresetSeparation),
        (Tagging, TAGS, "", PresetTagging),
    )
    for kind, section, name, written in declared:
        keys = {key for key, said in said_of(kind).items() if said.setting is not None and said.section == name}
        own = {field.name for base in section.__bases__ for field in msgspec.structs.fields(base)}
        assert set(section.__struct_fields__) == keys | own
        assert written.__struct_fields__ == kind.__struct_fields__


def test_the_usual_wish_is_what_the_fields_say() -> None:
    assert SEPARATE().as_operation() == Separation(provider="local")
    assert TAGS().as_operation() == Tagging(provider="")
