from __future__ import annotations

from pathlib import Path

from plugin_core.console.options import choose_operations
from plugin_core.model import Separation, Tagging
from plugin_core.presets import Preset

SETTINGS = Separation(provider="mvsep", model="40", format="flac24", on_overload="scale")
PRESET = Preset(
    name="p",
    operations=(
        Separation(provider="mvsep", model="40", options={"a": "1"}, stems=("vocals",)),
        Tagging(provider="mediax"),
    ),
)


def test_settings_are_the_default() -> None:
    assert choose_operations({}, None, SETTINGS) == (
        Separation(provider="mvsep", model="40", format="flac24", on_overload="scale"),
    )


def test_another_provider_does_not_take_the_model_of_the_settings() -> None:
    (operation,) = choose_operations({"provider": "local"}, None, SETTINGS)
    assert operation == Separation(provider="local", format="flac24", on_overload="scale")


def test_every_option_reaches_the_operation() -> None:
    said = {
        "provider": "x",
        "model": "m",
        "options": {"k": "v"},
        "stems": ("vocals",),
        "minus": ("drums",),
        "residual": True,
        "format": "wav",
        "on_overload": "float",
        "to": Path("/out"),
    }
    assert choose_operations(said, None, SETTINGS) == (
        Separation(
            provider="x",
            model="m",
            options={"k": "v"},
            stems=("vocals",),
            minus=("drums",),
            residual=True,
            format="wav",
            on_overload="float",
            to=Path("/out"),
        ),
    )


def test_options_win_over_the_preset_and_leave_taggings_alone() -> None:
    operations = choose_operations({"stems": ("drums",), "options": {"b": "2"}}, PRESET, SETTINGS)
    assert operations == (
        Separation(provider="mvsep", model="40", options={"a": "1", "b": "2"}, stems=("drums",)),
        Tagging(provider="mediax"),
    )


def test_another_provider_drops_the_presets_model_and_its_options() -> None:
    first, _ = choose_operations({"provider": "local", "options": {"b": "2"}}, PRESET, SETTINGS)
    assert first == Separation(provider="local", options={"b": "2"}, stems=("vocals",))
    first, _ = choose_operations({"provider": "local"}, PRESET, SETTINGS)
    assert first == Separation(provider="local", stems=("vocals",))


def test_another_model_drops_the_options_of_the_first() -> None:
    first, _ = choose_operations({"model": "41"}, PRESET, SETTINGS)
    assert first == Separation(provider="mvsep", model="41", stems=("vocals",))
