from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PurePath

import pytest

from plugin_core.errors import SettingsError, UsageError
from plugin_core.files.names import MAX_BYTES, clean_component, count_bytes, shorten
from plugin_core.stems.layout import parse_template, template_values
from plugin_core.wishes import DEFAULT_TEMPLATE


def render(name: str, template: str = DEFAULT_TEMPLATE, **tags: str) -> PurePath:
    values = template_values(Path(name), title="Vocals", suffix=".flac", provider="local", model="m/1")
    return parse_template(template).render(values | tags)


def test_default_stands_in_a_folder_of_its_own() -> None:
    assert render("/music/Song.flac") == PurePath("Song.stems/Song - Vocals.flac")
    assert parse_template(DEFAULT_TEMPLATE).depth == 1


@pytest.mark.parametrize(
    ("template", "depth"),
    [
        ("{name} - {stem}.{ext}", 0),
        ("Stems/{name} - {stem}.{ext}", 0),
        ("{stem}/{name}.{ext}", 0),
        ("{artist}/{album}/{name}/{stem}.{ext}", 3),
        ("{name}/{provider}/{stem}.{ext}", 1),
    ],
)
def test_depth_of_the_own_folder(template: str, depth: int) -> None:
    assert parse_template(template).depth == depth


@pytest.mark.parametrize(
    "text",
    [
        "{name} {stm}.{ext}",
        "{name}.{ext}",
        "{stem}",
        "../{name} {stem}.{ext}",
        "/abs/{stem}.{ext}",
        "{name}//{stem}.{ext}",
        "{name.parent} {stem}.{ext}",
        "{stem!r}.{ext}",
        "{stem:>9}.{ext}",
        "{stem.{ext}",
        "{} {stem}.{ext}",
    ],
)
def test_wrong_templates_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_template(text)


def test_unknown_field_is_named_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'stm'.*name, stem, ext, provider, model, artist, title, album"):
        parse_template("{name} {stm}.{ext}", is_setting=True)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("AC/DC: Live?", "AC_DC_ Live_"),
        ("..", "_"),
        ("...And Justice. . ", "And Justice"),
        ("con.stems", "con_.stems"),
        ("COM¹", "COM¹_"),
        ("Console", "Console"),
        ("a\x00b\nc\x85d", "a_b_c_d"),
        ('|<>"*\\', "______"),
        (" lead", " lead"),
    ],
)
def test_clean_component(text: str, clean: str) -> None:
    assert clean_component(text) == clean


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_normal_form_is_kept(form: str) -> None:
    name = unicodedata.normalize(form, "Ünïcödé")  # type: ignore[arg-type]
    assert render(f"/m/{name}.flac").parts[0] == f"{name}.stems"


def test_bytes_that_are_not_utf8_are_kept() -> None:
    path = render(os.fsdecode(b"/m/caf\xe9.flac"))
    assert os.fsencode(path) == b"caf\xe9.stems/caf\xe9 - Vocals.flac"


def test_values_from_tags_never_make_folders_or_leave() -> None:
    path = render("/m/a.flac", "{artist}/{album}/{name} {stem}.{ext}", artist="../../x", album="..")
    assert path == PurePath("_.._x/_/a Vocals.flac")


@pytest.mark.parametrize("name", ["x" * 251, "ü" * 125, "日" * 83, "e\u0301" * 83, "\udce9" * 251])
def test_long_names_fit_and_can_be_numbered(name: str) -> None:
    path = render(f"/m/{name}.flac")
    for part in path.parts:
        assert count_bytes(part) + len(" (9999)") <= MAX_BYTES
    assert path.name.endswith(" - Vocals.flac")
    assert path.parts[0].endswith(".stems")


def test_shortened_names_stay_apart() -> None:
    assert render(f"/m/{'x' * 250}a.flac") != render(f"/m/{'x' * 250}b.flac")
    assert shorten("abc", 3) == "abc"


def test_shortening_keeps_combining_marks_with_their_letter() -> None:
    for limit in range(12, 40):
        kept = shorten("e\u0301" * 90, limit).split("~")[0]
        assert len(kept) % 2 == 0


def test_name_gives_way_to_its_mark_before_a_template_is_refused() -> None:
    template = "y" * (MAX_BYTES - len(" (9999)~12345678Vocals.flac")) + "{name}{stem}.{ext}"
    path = render("/m/a long name.flac", template)
    assert count_bytes(path.name) + len(" (9999)") == MAX_BYTES
    with pytest.raises(UsageError, match="bytes"):
        render("/m/a long name.flac", f"y{template}")


def test_template_too_long_in_itself() -> None:
    with pytest.raises(UsageError, match="bytes"):
        render("/m/a.flac", "y" * 260 + "{name}{stem}.{ext}")
