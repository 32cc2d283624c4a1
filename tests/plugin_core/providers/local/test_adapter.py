from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_core.audio.info import lay_out
from plugin_core.audio.probe import probe
from plugin_core.errors import SettingsError, SourceError, TransientError, UsageError
from plugin_core.model import OnOverload, Progress, RemoteFile, Separation, Tagging, from_json, to_json
from plugin_core.operations.plans import check_plan
from plugin_core.protocols import Order, Separator
from plugin_core.providers import engine
from plugin_core.providers.engine import worker_format
from plugin_core.providers.local import request
from plugin_core.providers.local.adapter import LocalSeparator, LocalSettings, default_workers
from plugin_core.providers.local.request import STEMS, WorkerRequest
from plugin_core.settings import Settings
from plugin_core.worker import WorkerDone
from tests.audio_files import write_song
from tests.plugin_core.providers.local.conftest import MakeOrder, make_source


@pytest.fixture
def separator() -> LocalSeparator:
    return LocalSeparator(LocalSettings(workers=3, block_seconds=0.5))


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Song.flac", 1, subtype="PCM_16")


def ignore(progress: Progress) -> None:
    pass


def test_it_is_a_separator(separator: LocalSeparator) -> None:
    assert isinstance(separator, Separator)
    assert (separator.name, separator.account(), separator.remote) == ("local", "local", False)
    assert asyncio.run(separator.slots()) == 3
    models = asyncio.run(separator.models())
    assert [(model.id, model.stems, model.credits_per_minute) for model in models] == [
        ("network", STEMS, 0.0),
        ("classic", STEMS, 0.0),
    ]


def test_plan_fills_everything_in(separator: LocalSeparator, song: Path) -> None:
    plan = asyncio.run(separator.plan(make_source(song), Separation(provider="local", minus=("drums",))))
    operation = plan.operation
    assert isinstance(operation, Separation)
    assert (operation.model, operation.format, operation.minus) == ("network", "flac16", ("drums",))
    assert set(operation.options) == {"centre_weight", "bass_edge_hz", "melody_depth"}
    assert plan.stems == STEMS
    assert plan.credits is None
    assert plan.seconds
    again = asyncio.run(separator.plan(make_source(song), operation))
    assert again.operation == operation


def test_without_weights_classic_is_the_only_model(
    separator: LocalSeparator, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "NETWORK_MANIFEST", tmp_path / "network.toml")
    assert [model.id for model in asyncio.run(separator.models())] == ["classic"]
    plan = asyncio.run(separator.plan(make_source(song), Separation(provider="local")))
    assert isinstance(plan.operation, Separation)
    assert plan.operation.model == "classic"


def test_vocals_and_instrumental_can_be_wished(separator: LocalSeparator, song: Path) -> None:
    wish = Separation(provider="local", stems=("vocals", "instrumental"))
    plan = check_plan(asyncio.run(separator.plan(make_source(song), wish)), make_source(song))
    assert isinstance(plan.operation, Separation)
    assert plan.operation.stems == wish.stems
    assert plan.stems == STEMS


def test_plan_warns_of_mono(separator: LocalSeparator, tmp_path: Path) -> None:
    source = make_source(write_song(tmp_path / "mono.wav", 0.5, channels=1))
    assert "mono" in asyncio.run(separator.plan(source, Separation(provider="local"))).notes[0]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"model": "clasic"}, r"no model 'clasic', did you mean 'classic'\?"),
        (
            {"stems": ("vocal",)},
            r"no stem 'vocal', did you mean 'vocals'\?; it knows vocals, drums, bass, other, instrumental",
        ),
        ({"minus": ("instrumental",)}, r"did you mean --stems vocals\?"),
        ({"minus": ("piano",)}, r"no stem to subtract 'piano'; it knows"),
        ({"options": {"depth": "1"}}, "no option 'depth'"),
        ({"format": "flak"}, "flac"),
    ],
    ids=["model", "stem", "instrumental", "minus", "option", "format"],
)
def test_plan_refuses_what_it_does_not_know(
    separator: LocalSeparator, song: Path, wish: dict[str, object], words: str
) -> None:
    unknown = msgspec.structs.replace(Separation(provider="local"), **wish)
    with pytest.raises(UsageError, match=words):
        asyncio.run(separator.plan(make_source(song), unknown))


@pytest.mark.parametrize(
    ("subtype", "wish", "written"),
    [
        ("PCM_16", "mp3", "flac16"),
        ("PCM_24", "m4a", "flac24"),
        ("FLOAT", "mp3", "wav32f"),
        ("PCM_16", "wav24", "wav24"),
        ("PCM_16", "", "flac16"),
    ],
)
def test_lossy_formats_are_made_of_lossless_ones(subtype: str, wish: str, written: str, tmp_path: Path) -> None:
    source = make_source(write_song(tmp_path / "in.wav", 0.1, subtype=subtype))
    assert worker_format(Separation(provider="local", format=wish), source).name == written


@pytest.mark.parametrize("on_overload", ["scale", "float"])
@pytest.mark.parametrize(
    ("subtype", "wish", "written"),
    [
        ("FLOAT", "flac16", "wav32f"),
        ("DOUBLE", "mp3", "wav32f"),
        ("FLOAT", "w64_16", "w64_32f"),
        ("PCM_16", "mp3", "flac16"),
    ],
)
def test_what_is_to_be_kept_over_full_scale_is_written_as_floats(
    subtype: str, wish: str, written: str, on_overload: OnOverload, tmp_path: Path
) -> None:
    source = make_source(write_song(tmp_path / "in.wav", 0.1, subtype=subtype))
    assert worker_format(Separation(provider="local", format=wish, on_overload=on_overload), source).name == written


def test_submit_poll_fetch(separator: LocalSeparator, song: Path, make_order: MakeOrder) -> None:
    order = make_order(song, format="flac16")

    async def live() -> None:
        said: list[Progress] = []
        assert (await separator.submit(order, ignore)).remote_id == order.key
        assert await separator.find(order) is None
        finished = await separator.poll(order, said.append)
        assert [file.name for file in finished.files] == [f"attempt-1/{stem}.flac" for stem in STEMS]
        assert [file.label for file in finished.files] == ["Vocals", "Drums", "Bass", "Other"]
        assert (said[0].fraction, said[-1].fraction) == (0.0, 1.0)
        parts = await separator.fetch(msgspec.structs.replace(order, results=finished.files), ignore)
        assert all(part.exact and part.path.is_file() for part in parts)
        assert [part.stem for part in parts] == list(STEMS)
        assert await separator.poll(order, ignore) == finished, "what an earlier attempt left is replaced"
        await separator.cancel(order)
        await separator.release(order)

    asyncio.run(live())


def test_the_worker_is_told_what_was_found_out_of_the_song(
    separator: LocalSeparator, song: Path, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = msgspec.structs.replace(probe(song), layouts=(lay_out(0, 9, {3: b"\x00\xff"}),))
    asked: list[WorkerRequest] = []

    async def run_worker(_command: object, wish: WorkerRequest, _report: object, *, relief: str) -> WorkerDone:
        assert "[local]" in relief
        asked.append(from_json(to_json(wish), WorkerRequest))
        raise SourceError("enough")

    monkeypatch.setattr("plugin_core.audio.probe.probe", lambda _path: found)
    monkeypatch.setattr(engine, "run_worker", run_worker)
    with pytest.raises(SourceError, match="enough"):
        asyncio.run(separator.poll(make_order(song, format="flac16"), ignore))
    for model in ("classic", "network"):
        with pytest.raises(SourceError, match="enough"):
            asyncio.run(separator.poll(make_order(song, format="flac16", model=model), ignore))
    assert [wish.info for wish in asked] == [found] * 3
    assert [wish.network for wish in asked] == [True, False, True]


@pytest.mark.parametrize("name", ["attempt-1/gone.flac", "../Song.flac", "attempt-1", "/etc/passwd", "attempt-1/short"])
def test_fetch_takes_only_whole_files_in_the_jobs_folder(
    name: str, separator: LocalSeparator, song: Path, make_order: MakeOrder
) -> None:
    order = make_order(song)
    (order.folder / "attempt-1").mkdir()
    (order.folder / "attempt-1" / "short").write_bytes(b"12")
    results = (RemoteFile(label="Bass", stem="bass", name=name, size=3),)
    with pytest.raises(TransientError, match=r"the separated bass of Song\.flac is gone"):
        asyncio.run(separator.fetch(msgspec.structs.replace(order, results=results), ignore))


def test_failure_leaves_the_folder_empty(separator: LocalSeparator, song: Path, make_order: MakeOrder) -> None:
    order = make_order(song, format="flac16")
    song.write_bytes(song.read_bytes()[:3000])
    with pytest.raises(SourceError):
        asyncio.run(separator.poll(order, ignore))
    assert list(order.folder.iterdir()) == []


def test_a_tagging_is_not_for_it(separator: LocalSeparator, song: Path, make_order: MakeOrder) -> None:
    order: Order = msgspec.structs.replace(make_order(song), operation=Tagging(provider="local"))
    with pytest.raises(UsageError, match="does not label"):
        asyncio.run(separator.poll(order, ignore))


def test_cancelling_kills_the_worker_and_waits_for_it(
    separator: LocalSeparator, endless_song: Path, make_order: MakeOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[asyncio.subprocess.Process] = []
    create = asyncio.create_subprocess_exec

    async def remember(*command: str, **how: Any) -> asyncio.subprocess.Process:
        started.append(await create(*command, **how))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", remember)
    order = make_order(endless_song, format="flac16")

    async def cancel_at_work() -> None:
        working = asyncio.Event()

        def report(progress: Progress) -> None:
            if progress.fraction:
                working.set()

        task = asyncio.create_task(separator.poll(order, report))
        await asyncio.wait_for(working.wait(), 600)
        assert started[0].returncode is None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert started[0].returncode is not None
        assert list(order.folder.iterdir()) == []

    asyncio.run(cancel_at_work())


def test_defaults_leave_half_the_machine(home: Path) -> None:
    assert Settings(home, environ={}).section("local", LocalSettings).workers == default_workers() >= 1


def test_environment_sets_them(home: Path) -> None:
    environ = {"STEMBRIDGE_LOCAL_WORKERS": "3", "STEMBRIDGE_LOCAL_BLOCK_SECONDS": "2.5"}
    found = Settings(home, environ=environ).section("local", LocalSettings)
    assert (found.workers, found.block_seconds) == (3, 2.5)


@pytest.mark.parametrize(("key", "value"), [("WORKERS", "0"), ("BLOCK_SECONDS", "nan"), ("NICE", "-5"), ("NICE", "x")])
def test_wrong_values_are_named(home: Path, key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"STEMBRIDGE_LOCAL_{key}"):
        Settings(home, environ={f"STEMBRIDGE_LOCAL_{key}": value}).section("local", LocalSettings)
