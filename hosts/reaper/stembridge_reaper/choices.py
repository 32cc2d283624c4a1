"""What can be chosen, presets and models with their stems; and what a request wishes for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from plugin_core import canonical, sort_stems, title
from plugin_core.errors import StembridgeError, UsageError, blame
from plugin_core.model import Model, Operation, Separation, Tagging, count_credits
from plugin_core.presets import Preset, find_preset, load_presets
from plugin_core.session import Session
from plugin_core.wishes import SEPARATE, TAGS
from stembridge_reaper.protocol import ChoiceStem, MenuChoice, Request
from stembridge_reaper.runs import ReaperSettings

LISTING = 20.0
"""Seconds that a service has to list its models."""


def choose_operations(session: Session, request: Request, settings: ReaperSettings) -> tuple[Operation, ...]:
    """Return what to do to each file.

    Raises:
        UsageError: there is no such preset, or nobody who labels.
    """
    if request.kind == "separate" and request.provider:
        usual = session.settings.section("separate", SEPARATE).as_operation()
        wish = msgspec.structs.replace(usual, provider=request.provider, model=request.model)
        return (_keep(wish, request.stems),)
    if request.kind == "separate":
        operations = find_preset(session.settings, request.preset).operations
        return tuple(_keep(one, request.stems) if isinstance(one, Separation) else one for one in operations)
    if request.kind == "label":
        return _label_operations(session, request.preset or settings.label_preset)
    raise UsageError(f"a request of kind {request.kind!r} is unknown", remedy="run `stembridge reaper install` again")


def _keep(wish: Separation, names: Sequence[str]) -> Separation:
    """Return a wish for those stems alone; for all where none is named."""
    if not names:
        return wish
    minus = tuple(stem for stem in wish.minus if _without(stem) in names)
    stems = tuple(name for name in names if name not in map(_without, wish.minus))
    return msgspec.structs.replace(wish, stems=stems, minus=minus)


def _without(stem: str) -> str:
    return f"no-{canonical(stem)}"


def _label_operations(session: Session, name: str) -> tuple[Operation, ...]:
    if name:
        preset = find_preset(session.settings, name)
        found = tuple(one for one in preset.operations if isinstance(one, Tagging))
        if not found:
            raise UsageError(f"preset {preset.name!r} labels nothing", remedy="correct [reaper] label_preset")
        return found
    wish = session.settings.section("tags", TAGS).as_operation()
    if not session.registry.taggers:
        raise UsageError("no tagger is installed", remedy="stembridge plugins lists what is")
    if not wish.provider and len(session.registry.taggers) > 1:
        names = ", ".join(sorted(session.registry.taggers))
        raise UsageError(f"there are several taggers ({names})", remedy="name one in [tags] provider")
    return (wish,)


def kind_of(preset: Preset) -> str:
    """Return the kind of request a preset makes: ``label`` when it separates nothing."""
    taggings = [isinstance(operation, Tagging) for operation in preset.operations]
    return "label" if taggings and all(taggings) else "separate"


async def list_choices(session: Session) -> tuple[list[MenuChoice], list[str]]:
    """Return every preset, then every model that gives stems; and what went wrong with whom."""
    models: dict[str, list[Model]] = {}
    faults: list[str] = []
    names = sorted(session.registry.separators)
    for name, found in zip(names, await asyncio.gather(*(_list_models(session, name) for name in names)), strict=True):
        if isinstance(found, str):
            faults.append(f"{name}: {found}")
        else:
            models[name] = found
    presets = [_preset_choice(preset, models) for preset in load_presets(session.settings).values()]
    return presets + [_model_choice(name, model) for name, found in models.items() for model in found], faults


async def _list_models(session: Session, name: str) -> list[Model] | str:
    try:
        async with asyncio.timeout(LISTING):
            with blame(name):
                listed = await session.separator(name).models()
    except TimeoutError:
        return "does not answer"
    except StembridgeError as error:
        return str(error)
    return [one for one in listed if one.takes == "song" and not one.results and one.is_ready]


def _preset_choice(preset: Preset, models: Mapping[str, Sequence[Model]]) -> MenuChoice:
    wishes = [one for one in preset.operations if isinstance(one, Separation)]
    # What several separations give is their own matter.
    stems = _stems_of(wishes[0], models.get(wishes[0].provider, ())) if len(wishes) == 1 else []
    name, kind = preset.name, kind_of(preset)
    return MenuChoice(title=preset.title or name, note=name, kind=kind, preset=name, stems=_show(stems))


def _stems_of(wish: Separation, models: Sequence[Model]) -> list[str]:
    if wish.stems or wish.minus:
        return [*map(canonical, wish.stems), *map(_without, wish.minus)]
    # Which model is the usual one, its provider knows alone.
    given = [sort_stems(one.stems) for one in models if not wish.model or wish.model in (one.id, one.name)]
    return given[0] if given and all(one == given[0] for one in given) else []


def _model_choice(provider: str, model: Model) -> MenuChoice:
    price = f"{count_credits(model.credits_per_minute)}/min" if model.credits_per_minute else model.price or "free"
    note = ", ".join([provider, price, *([model.access] if model.access != "everyone" else [])])
    stems = _show(sort_stems(map(canonical, model.stems)))
    return MenuChoice(title=model.name, note=note, provider=provider, model=model.id, stems=stems)


def _show(stems: Sequence[str]) -> tuple[ChoiceStem, ...]:
    return tuple(ChoiceStem(name=name, title=title(name)) for name in stems) if len(stems) > 1 else ()
