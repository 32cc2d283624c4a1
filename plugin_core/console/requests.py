"""From options, preset and settings to the operations that are meant; the option wins over the preset's word."""

from __future__ import annotations

from typing import Any

import msgspec

from plugin_core.console.options import Choices
from plugin_core.defaults import SeparateSettings
from plugin_core.model import Operation, Separation
from plugin_core.presets import Preset

_WORDS = ("model", "options", "stems", "minus", "residual", "format", "on_overload", "to")


def choose_operations(choices: Choices, preset: Preset | None, settings: SeparateSettings) -> tuple[Operation, ...]:
    """Return what to do to each source, in order."""
    if preset is None:
        return (_override(_default_operation(choices, settings), choices),)
    return tuple(
        _override(operation, choices) if isinstance(operation, Separation) else operation
        for operation in preset.operations
    )


def _default_operation(choices: Choices, settings: SeparateSettings) -> Separation:
    if choices.provider not in (None, settings.provider):
        # A model's name means nothing to another provider; a format does.
        return msgspec.structs.replace(settings.as_operation(), provider=str(choices.provider), model="")
    return settings.as_operation()


def _override(operation: Separation, choices: Choices) -> Separation:
    said: dict[str, Any] = {word: getattr(choices, word) for word in _WORDS if getattr(choices, word) is not None}
    if "options" in said:
        said["options"] = operation.options | said["options"]
    if choices.provider is not None and choices.provider != operation.provider:
        said = {"model": "", "options": choices.options or {}, **said, "provider": choices.provider}
        said["options"] = choices.options or {}
    elif choices.model is not None and choices.model != operation.model:
        said["options"] = choices.options or {}
    return msgspec.structs.replace(operation, **said)
