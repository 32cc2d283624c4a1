"""Networks of others as the core sees them: a provider whose service is a process on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ClassVar, Final

import msgspec

from plugin_core.abilities import ModelOffer
from plugin_core.audio.formats import resolve_format
from plugin_core.errors import MissingModelError, SourceError, UsageError
from plugin_core.model import Finding, Model, Plan, Separation, Source, Verdict, show_path
from plugin_core.protocols import Finished, Order, Report
from plugin_core.providers.engine import LocalEngine, SpeedBook, worker_format
from plugin_core.providers.neural.library import Library, fetch_files
from plugin_core.providers.neural.networks import (
    Choice,
    Computing,
    Device,
    NeuralModel,
    NeuralRequest,
    WeightFile,
    check_runtime,
    choose,
    find_model,
    gives_all,
    has_runtime,
    read_catalogue,
)
from plugin_core.transfer import Bytes, Transfer
from plugin_core.worker import usable_processors

NAME: Final = "neural"
WORKER: Final = "plugin_core.providers.neural.worker"
_SPEEDS: Final = {"umx": 8.0, "mdx": 0.6, "htdemucs": 0.6}
"""Seconds of sound that a slow processor separates in a second, for estimates."""


class NeuralSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How networks of others use the machine."""

    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    """Songs separated at the same time, each by one process."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = msgspec.field(
        default_factory=lambda: max(1, usable_processors() - 1)
    )
    """Processors of one song, for models in ONNX; default all but one. Open-Unmix uses one."""
    device: Device = "cpu"
    """What computes models in ONNX: ``cpu``, ``cuda``, ``coreml`` or ``directml``; where that cannot be had, the
    processor does it, and the job says so."""
    segment_seconds: Annotated[float, msgspec.Meta(ge=1, le=60)] = 6.966
    """Seconds of sound that Open-Unmix filters together, 7 of its own accord; memory grows with it. Models in ONNX have
    segments of their own."""
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 10
    """How far workers step back behind other programs, as ``nice(1)`` counts; no effect on Windows."""


class NeuralSeparator(LocalEngine):
    """Splits songs by networks that others trained, and that their user fetched.

    Args:
        settings: section ``[neural]``.
        library: where files of models are.
        speeds: where it notes how fast it was.
        catalogue: the models that are known.
    """

    name = NAME
    title = "Networks of others, on this machine, free: stembridge models fetch"
    worker = WORKER
    relief = "lower threads or workers in [neural]"
    preference: ClassVar[float] = 2.0

    def __init__(
        self,
        settings: NeuralSettings,
        library: Library,
        speeds: SpeedBook | None = None,
        *,
        catalogue: Mapping[str, NeuralModel] | None = None,
    ) -> None:
        super().__init__(speeds)
        self.settings = settings
        self._library = library
        self._given = catalogue

    @property
    def _catalogue(self) -> Mapping[str, NeuralModel]:
        # Commands that have nothing to do with it should not wait for its manifest.
        return read_catalogue() if self._given is None else self._given

    async def slots(self) -> int:
        return self.settings.workers

    async def models(self) -> Sequence[Model]:
        return await asyncio.to_thread(lambda: [self._describe(model) for model in self._catalogue.values()])

    def _describe(self, model: NeuralModel) -> Model:
        choice = choose(model, Separation(provider=NAME))
        found = [self._library.find(file) for file in choice.files]
        missing = [file for file, path in zip(choice.files, found, strict=True) if path is None]
        return Model(
            id=model.id,
            name=model.name,
            stems=model.stems,
            summary=model.summary,
            state=_state(missing, len(choice.files)),
            size=sum(file.bytes for file in choice.files),
            licence=model.licence,
        )

    async def plan(self, source: Source, wish: Separation) -> Plan:
        """Check the wish and fill in its model, the best that is here and gives the stems."""
        if source.channels > 2:
            raise SourceError(
                f"{show_path(source.path)} has {source.channels} channels, and these networks hear two",
                remedy="use --provider local",
            )
        if wish.options.keys() - {"segment_seconds"}:
            raise UsageError("the separator 'neural' has no options", remedy="its settings are in [neural]")
        choice = await asyncio.to_thread(self._choose, wish)
        model = choice.model
        filtered = {"segment_seconds": f"{self.settings.segment_seconds:g}"} if model.kind == "umx" else {}
        notes = () if model.commerce == "allowed" else (f"{model.id}: {model.licence}",)
        return Plan(
            operation=msgspec.structs.replace(
                wish, model=model.id, options=filtered | wish.options, format=resolve_format(wish.format, source).name
            ),
            title=model.name,
            stems=choice.stems,
            seconds=2 + source.duration / (self.speed(model.id) or _SPEEDS[model.kind]),
            notes=notes,
        )

    def _choose(self, wish: Separation) -> Choice:
        """Return what does a wish: the model it names, else the best that is here.

        Research-only weights are taken when they are named, never of our own accord.
        """
        if wish.model:
            model = find_model(self._catalogue, wish.model)
            choice = choose(model, wish)
            check_runtime(model)
            if self._library.weights(choice.files) is None:
                raise UsageError(
                    f"{model.id} is not on this machine", remedy=f"stembridge models fetch {model.id} fetches it"
                )
            return choice
        able = list(self._able(wish))
        allowed = [choice for choice in able if choice.model.commerce != "forbidden"]
        here = [choice for choice in allowed if self._library.weights(choice.files) is not None]
        refused: UsageError = _none_here(allowed or able)
        for choice in here:
            try:
                check_runtime(choice.model)
            except UsageError as error:
                refused = error
                continue
            return choice
        raise refused

    def _able(self, wish: Separation) -> Iterator[Choice]:
        """Yield what gives the stems of a wish, here or not."""
        for model in self._catalogue.values():
            if gives_all(model, (*wish.stems, *wish.minus)):
                with suppress(UsageError):
                    yield choose(model, wish)

    async def poll(self, order: Order, report: Report) -> Finished:
        from plugin_core.audio.probe import probe  # heavy imports wait until there is work

        operation = order.separation
        choice = choose(find_model(self._catalogue, operation.model), operation)
        check_runtime(choice.model)
        weights = await asyncio.to_thread(self._library.weights, choice.files)
        if weights is None:
            raise MissingModelError(
                f"{choice.model.id} is not on this machine", remedy=f"stembridge models fetch {choice.model.id}"
            )
        seconds = operation.options.get("segment_seconds")
        request = NeuralRequest(
            source=order.source.path,
            info=await asyncio.to_thread(probe, order.source.path),
            folder=order.folder / order.attempt,
            format=worker_format(operation, order.source).name,
            choice=choice,
            weights=weights,
            computing=Computing(
                threads=self.settings.threads,
                device=self.settings.device,
                segment_seconds=float(seconds) if seconds else None,
            ),
            nice=self.settings.nice,
        )
        return await self.work(order, report, request, choice.stems)

    def offer_model(self, word: str, stems: tuple[str, ...] = ()) -> ModelOffer:
        model = find_model(self._catalogue, word)
        files = choose(model, Separation(provider=NAME, stems=stems)).files
        paths = {file.name: self._library.find(file) for file in files}
        return ModelOffer(
            id=model.id,
            name=model.name,
            licence=model.licence,
            commerce=model.commerce,
            author=model.author,
            page=model.page,
            folder=self._library.folder,
            here={name: path for name, path in paths.items() if path is not None},
            missing={file.name: file.bytes for file in files if paths[file.name] is None},
            addresses={file.name: file.addresses for file in files if paths[file.name] is None},
        )

    async def fetch_model(self, word: str, stems: tuple[str, ...], tell: Bytes) -> Sequence[Path]:
        """Fetch what is missing of a model; nothing is asked of anybody where all is here."""
        model = find_model(self._catalogue, word)
        files = choose(model, Separation(provider=NAME, stems=stems)).files
        return await fetch_files(self._library, model, files, Transfer("model"), tell)

    async def take_model(self, word: str, paths: Sequence[Path]) -> Sequence[str]:
        model = find_model(self._catalogue, word)
        taken: list[WeightFile] = [await asyncio.to_thread(self._library.take, model, path) for path in paths]
        return [file.name for file in taken]

    async def examine(self) -> Sequence[Finding]:
        """Say which models are here, and how fast they were on this machine."""
        return await asyncio.to_thread(self._examine)

    def _examine(self) -> list[Finding]:
        here, wanting = [], []
        for model in self._catalogue.values():
            if self._library.weights(choose(model, Separation(provider=NAME)).files) is None:
                continue
            speed = self.speed(model.id)
            here.append(f"{model.id}{f' ({speed:.1f} x as fast as songs play)' if speed else ''}")
            try:
                check_runtime(model)
            except UsageError as error:
                wanting.append(error)
        if wanting:
            return [Finding(name=NAME, verdict=Verdict.WARNING, found=wanting[0].message, remedy=wanting[0].remedy)]
        found = ", ".join(here) or "no models here; stembridge models --provider neural lists what can be fetched"
        return [Finding(name=NAME, verdict=Verdict.OK, found=found)]


def _none_here(able: Sequence[Choice]) -> UsageError:
    """Return what is said where no model is here that may be chosen: which one to fetch, of those that can do it."""
    if not able:
        remedy = "stembridge models --provider neural shows what each gives"
        return UsageError("no network that is known gives all of these stems", remedy=remedy)
    model = next((one.model for one in able if has_runtime(one.model)), able[0].model)
    remedy = f"stembridge models fetch {model.id} fetches one, after it has said its size and licence"
    if model.commerce == "forbidden":
        remedy = f"for research alone, --provider neural --model {model.id} gives them"
    return MissingModelError("no model that gives these stems is on this machine", remedy=remedy)


def _state(missing: Sequence[WeightFile], count: int) -> str:
    if not missing:
        return "here"
    return "in part here" if len(missing) < count else "to fetch"
