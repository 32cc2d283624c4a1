"""The models of the service, in the form its own answer has: JSON within JSON, nulls and all."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from plugin_core.manifests import manifest

Model = dict[str, Any]

MATCHERING = 68
MIDI = frozenset({80, 113, 114, 127})
TEXT = frozenset({39, 64})
SPEECH = frozenset({103, 104, 115, 118, 119, 120})
RESTORED = frozenset({59, 60})
_SCOPES = {"no_upload": "no_upload", "matchering_upload": "matchering_upload", "single_upload": "single_upload"}


@functools.cache
def models() -> dict[str, Model]:
    """Return every model by ``render_id``: those of the snapshot, and the six of other scopes."""
    snapshot: list[Model] = json.loads(manifest("providers/mvsep_algorithms.json").read_text("utf-8"))["models"]
    return {str(model["render_id"]): model for model in [*snapshot, *_others()]}


def as_answer(model: Model) -> dict[str, Any]:
    """Return a model as ``app/algorithms`` has it."""
    number = model["render_id"]
    return {
        "id": number + 1000,
        "name": model["name"],
        "algorithm_group_id": model["group_id"],
        "algorithm_group": {"id": model["group_id"], "name": model["group"]},
        "orientation": model["orientation"],
        "render_id": number,
        "order_id": number,
        "price_coefficient": model["price_coefficient"],
        "is_active": model["is_active"],
        "audio_upload_disabled": int(model["audio_widget"] == "no_upload"),
        "audio_widget": model["audio_widget"],
        "allow_resample": 0,
        "output_stems": _encode(model["output_stems"]),
        "outputs": _encode(model["outputs"]),
        "output_variants": None,
        "additional_fields": None,
        "description": "",
        "usage": number * 7,
        "rating": {"average": "4.2500", "total": 8} if number % 2 else {"average": 0, "total": 0},
        "algorithm_fields": [_field(field, number) for field in model["fields"]],
        "algorithm_descriptions": [{"short_description": model["name"], "long_description": "<p>…</p>", "lang": "en"}],
    }


def in_scopes(scopes: str) -> list[dict[str, Any]]:
    """Return the models of a comma list of scopes; without one, those that take one file.

    Raises:
        KeyError: a scope nobody knows.
    """
    wanted = {_SCOPES[scope.strip()] for scope in scopes.split(",") if scope.strip()} or {"single_upload"}
    return [as_answer(model) for model in models().values() if model["audio_widget"] in wanted]


def labels(model: Model) -> list[str]:
    """Return what a model gives, as result labels have it: ``Vocals``, ``Vocals_Lead``, ``Sfx``."""
    named = model["outputs"] or {}
    stems = [stem.strip() for stem in model["output_stems"] or []]
    keys = (
        list(named) if named and not set(stems) <= set(named) else [*stems, *(key for key in named if key not in stems)]
    )
    if not keys:
        keys = [re.sub(r"^MVSep\s+|\s*\(.*", "", model["name"]).strip().replace(" ", "-"), "other"]
    return [re.sub(r"[^A-Za-z0-9]+", "_", key).strip("_").title() for key in keys]


def is_visible(field: dict[str, Any], model: Model, chosen: dict[str, str]) -> bool:
    """Tell whether a field is there, given what was chosen for its siblings."""
    for condition in field.get("conditions") or []:
        sibling = next(one for one in model["fields"] if one["id"] == condition["depends_on_field_id"])
        holds = chosen.get(sibling["name"], sibling["default"]) in condition["value_json"]
        if holds != (condition["action"] == "show"):
            return False
    return True


def multiplier(model: Model, chosen: dict[str, str]) -> float:
    """Return by how much the chosen options multiply the price."""
    factor = 1.0
    for field in model["fields"]:
        for rule in field.get("price_rules") or []:
            if rule["mode"] == "multiplier" and rule["option_key"] == chosen.get(field["name"], field["default"]):
                factor *= float(rule["value"])
    return factor


def _encode(value: object) -> str | None:
    return None if value is None else json.dumps(value)


def _field(field: dict[str, Any], algorithm: int) -> dict[str, Any]:
    return {
        "id": field["id"],
        "name": field["name"],
        "text": field["text"],
        "algorithm_id": algorithm + 1000,
        "options": json.dumps(field["options"] or {}),
        "output_overrides": None,
        "default_key": field["default"],
        "server_key": field["server_key"],
        "input_type": field["input"],
        "required": field["required"],
        "help_link": None,
        "registered_only_keys": None,
        "price_rules": field.get("price_rules"),
        "conditions": field.get("conditions"),
    }


def _others() -> list[Model]:
    """The models of other scopes: numbers, names and fields are documented, the choices of their fields are made up."""
    sound = {"62": ("Stable Audio Open Gen", [("Text prompt", {}), ("Length", {"10": "10 s", "30": "30 s"})])}
    speech: dict[str, tuple[str, list[tuple[str, dict[str, str]]]]] = {
        **sound,
        "104": ("VibeVoice (TTS)", [("Model", {"0": "1.5B", "1": "7B"}), ("Text", {})]),
        "115": ("Bark", [("Text", {}), ("Speaker", {"en_0": "English 0", "en_1": "English 1"})]),
        "118": (
            "Qwen3-TTS (Custom Voice)",
            [
                ("Text", {}),
                ("Speaker", {"vivian": "Vivian", "ryan": "Ryan"}),
                ("Language", {"auto": "Auto", "en": "English"}),
                ("Voice description", {}),
            ],
        ),
        "119": (
            "Qwen3-TTS (Voice Design)",
            [("Text", {}), ("Voice description", {}), ("Language", {"auto": "Auto", "en": "English"})],
        ),
    }
    made = [_other(int(number), name, "no_upload", fields) for number, (name, fields) in speech.items()]
    return [*made, _other(MATCHERING, "Matchering", "matchering_upload", [])]


def _other(number: int, name: str, widget: str, fields: list[tuple[str, dict[str, str]]]) -> Model:
    return {
        "render_id": number,
        "name": name,
        "group": "Experimental and Misc",
        "group_id": 10,
        "orientation": 0,
        "price_coefficient": 1,
        "is_active": 1,
        "audio_widget": widget,
        "output_stems": None,
        "outputs": None,
        "fields": [_other_field(number, at, text, options) for at, (text, options) in enumerate(fields, 1)],
    }


def _other_field(number: int, at: int, text: str, options: dict[str, str]) -> dict[str, Any]:
    return {
        "id": number * 10 + at,
        "name": f"add_opt{at}",
        "text": text,
        "input": "select" if options else "textarea",
        "server_key": re.sub(r"\W+", "_", text.lower()),
        "required": int(text != "Voice description" or at == 2),
        "default": next(iter(options), None),
        "options": options,
        "conditions": None,
        "price_rules": None,
    }
