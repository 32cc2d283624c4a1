"""``stembridge tencent``: every command against the simulated service, for people and for programs."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from plugin_core.cli.app import build_app
from plugin_core.console.context import Context
from plugin_core.providers.mediax import plugin as mediax_plugin
from plugin_core.providers.mediax.client import descriptor
from plugin_core.providers.tencent_ci import client, plugin
from tests.audio_files import write_song
from tests.plugin_core.cli.conftest import Run, run_here
from tests.plugin_core.cli.fakes import FakePoint
from tests.plugin_core.providers.mediax.conftest import client_for
from tests.simulators.blobs import Blob
from tests.simulators.faults import refuse, reset_after
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator
from tests.simulators.tencent import TencentSimulator
from tests.simulators.tencent.requests import JobRequest
from tests.simulators.tencent.service import BUCKET, QUEUE, REGION

README = (Path(client.__file__).parent / "README.md").read_text("utf-8")


@pytest.fixture
def stembridge(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return run_here(capsys, FakePoint("tencent_ci", plugin))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[TencentSimulator]:
    with TencentSimulator() as simulator:
        for name, value in simulator.environment().items():
            monkeypatch.setenv(name, value)
        yield simulator


def created(stembridge: Run, *words: str) -> str:
    """Create a template and return its id."""
    result = stembridge("tencent", "templates", "create", *words, "--json")
    assert (result.code, result.err) == (0, "")
    (event,) = result.of("template_created")
    return str(event["id"])


def written(cloud: TencentSimulator) -> list[str]:
    """Return what was asked of templates but lists."""
    return [entry.method for entry in cloud.requests("*", "/template*") if entry.method != "GET"]


def test_a_template_lives_and_dies(stembridge: Run, cloud: TencentSimulator) -> None:
    made = created(stembridge, "mine", "--mode", "musicmode", "--codec", "MP3")
    assert cloud.templates[made] == {"Name": "mine", "AudioMode": "MusicMode", "Codec": "mp3"}
    people = stembridge("tencent", "templates")
    assert (people.code, people.err) == (0, "")
    assert all(word in people.out for word in (made, "mine", "MusicMode", "mp3"))
    (told,) = stembridge("tencent", "templates", "list", "--name", "mi", "--json").of("template")
    assert (told["id"], told["name"], told["mode"], told["config"]["codec"]) == (made, "mine", "MusicMode", "mp3")
    changed = stembridge("tencent", "templates", "update", made, "--name", "人声-2", "--codec", "wav")
    assert (changed.code, "人声-2, MusicMode, wav" in changed.out) == (0, True)
    gone = stembridge("tencent", "templates", "delete", made, "--yes")
    assert (gone.code, gone.out) == (0, f"template {made} deleted: 人声-2, MusicMode, wav\n")
    assert cloud.templates == {}


def test_an_empty_list_says_so(stembridge: Run, cloud: TencentSimulator) -> None:
    assert stembridge("tencent", "templates").out == "the bucket has no templates\n"
    assert stembridge("tencent", "templates", "list", "--name", "x").out == "no template's name begins with x\n"
    assert stembridge("tencent", "templates", "--json").events == [{"event": "summary", "count": 0, "exit_code": 0}]


def test_every_page_is_listed(stembridge: Run, cloud: TencentSimulator) -> None:
    cloud.templates |= {f"t{n:03}": {"Name": f"n{n}", "AudioMode": "IsAudio", "Codec": "flac"} for n in range(201)}
    listed = stembridge("tencent", "templates", "--json").of("template")
    assert [one["id"] for one in listed] == [f"t{n:03}" for n in range(201)]


@pytest.mark.parametrize(
    ("words", "held"),
    [
        ("", {"AudioMode": "AudioAndBackground", "Codec": "flac"}),
        ("--codec amr --mode IsAudio", {"AudioMode": "IsAudio", "Codec": "amr", "Samplerate": "8000", "Channels": "1"}),
        (
            "--codec aac --samplerate 48000 --bitrate 256 --channels 2",
            {
                "AudioMode": "AudioAndBackground",
                "Codec": "aac",
                "Samplerate": "48000",
                "Bitrate": "256",
                "Channels": "2",
            },
        ),
    ],
    ids=["bare", "amr", "whole"],
)
def test_what_is_not_said_is_the_services_choice(
    stembridge: Run, cloud: TencentSimulator, words: str, held: dict[str, str]
) -> None:
    assert cloud.templates[created(stembridge, "a", *words.split())] == {"Name": "a", **held}


@pytest.mark.parametrize(
    ("words", "held"),
    [
        ("--name b", {"Name": "b", "Codec": "mp3", "Samplerate": "22050", "Bitrate": "64"}),
        ("--channels 1", {"Codec": "mp3", "Samplerate": "22050", "Bitrate": "64", "Channels": "1"}),
        ("--codec flac", {"Codec": "flac"}),
        ("--mode MusicMode", {"AudioMode": "MusicMode", "Codec": "wav"}),
        ("--codec mp3 --bitrate 96", {"Codec": "mp3", "Samplerate": "22050", "Bitrate": "96"}),
    ],
)
def test_an_update_changes_what_is_said(
    stembridge: Run, cloud: TencentSimulator, words: str, held: dict[str, str]
) -> None:
    made = created(stembridge, "a", "--mode", "IsAudio", "--codec", "mp3", "--samplerate", "22050", "--bitrate", "64")
    assert stembridge("tencent", "templates", "update", made, *words.split()).code == 0
    assert cloud.templates[made] == {"Name": "a", "AudioMode": "IsAudio", **held}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("create a --mode MusikMode", "unknown mode 'MusikMode' of tencent_ci; did you mean 'MusicMode'?"),
        ("create a --mode MusicMode --codec flac", "MusicMode cannot give 'flac'; choose codec wav, mp3, aac"),
        ("create a --mode MusicMode --bitrate 64", "MusicMode ignores bitrate"),
        ("create a --codec wav", "AudioAndBackground cannot give 'wav'"),
        ("create a --codec mp3 --samplerate 96000", "mp3 cannot have samplerate='96000'; it is one of 11025"),
        ("create a --codec aac --channels 3", "aac cannot have channels='3'"),
        ("create a --codec aac --bitrate 7", "bitrate='7' is out of range"),
        ("create a.b", "no template can be called 'a.b'"),
        (f"create {'a' * 65}", "no template can be called"),
        ("update ID", "nothing to change is said"),
        ("update ID --name a/b", "no template can be called 'a/b'"),
        ("update ID --codec wav", "IsAudio cannot give 'wav'"),
        ("update ID --bitrate 64", "flac is lossless and has no bitrate"),
        ("update t0 --name b", "Tencent CI has no VoiceSeparate template 't0'; `stembridge tencent templates` lists"),
        ("delete t0 --yes", "Tencent CI has no VoiceSeparate template 't0'"),
        ("delete .. --yes", "Tencent CI has no VoiceSeparate template '..'"),
    ],
)
def test_what_the_service_would_not_take_is_never_sent(
    stembridge: Run, cloud: TencentSimulator, words: str, said: str
) -> None:
    made = created(stembridge, "a", "--mode", "IsAudio")
    result = stembridge("tencent", "templates", *words.replace("ID", made).split())
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)
    assert said in result.err
    assert written(cloud) == ["POST"]


def test_an_empty_id_is_no_template(stembridge: Run, cloud: TencentSimulator) -> None:
    created(stembridge, "a")
    result = stembridge("tencent", "templates", "delete", "", "--yes")
    assert (result.code, "has no VoiceSeparate template ''" in result.err) == (2, True)
    assert len(cloud.templates) == 1


def test_deleting_asks_first(stembridge: Run, cloud: TencentSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    made = created(stembridge, "a")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    result = stembridge("tencent", "templates", "delete", made)
    assert (result.code, "--yes" in result.err, list(cloud.templates)) == (2, True, [made])
    answers = io.StringIO("n\n")
    monkeypatch.setattr(answers, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", answers)
    refused = stembridge("tencent", "templates", "delete", made)
    assert (refused.code, f"Delete template {made} (a)" in refused.err, list(cloud.templates)) == (130, True, [made])


def test_a_template_whose_answer_was_lost_is_not_made_twice(stembridge: Run, cloud: TencentSimulator) -> None:
    cloud.faults.add(reset_after("POST", "/template"))
    result = stembridge("tencent", "templates", "create", "a")
    assert (result.code, len(result.err.splitlines()), len(cloud.templates)) == (4, 1, 1)
    assert "`stembridge tencent templates` shows whether it is there" in result.err


def test_a_bucket_with_smart_audio(stembridge: Run, cloud: TencentSimulator) -> None:
    people = stembridge("tencent", "bucket")
    assert (people.code, people.err) == (0, "")
    lines = {line[:16].strip(): line[17:] for line in people.out.splitlines()}
    assert lines == {
        "bucket": f"{BUCKET} in ap-guangzhou",
        "Cloud Infinite": "bound",
        "Smart Audio": "on",
        "queues": QUEUE,
    }
    (told,) = stembridge("tencent", "bucket", "--json").of("bucket")
    assert (told["smart_audio"], told["queues"], told["remedy"]) == (True, [QUEUE], "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"has_asr": False}, "Smart Audio      off"),
        ({"has_asr": False, "has_media": True}, "media processing on"),
        ({"ci_status": "off"}, "Cloud Infinite   not bound"),
    ],
    ids=["nothing", "older", "unbound"],
)
def test_a_bucket_that_is_not_ready_says_what_to_do(
    stembridge: Run, cloud: TencentSimulator, change: dict[str, object], words: str
) -> None:
    for name, value in change.items():
        setattr(cloud, name, value)
    people = stembridge("tencent", "bucket")
    assert (people.code, people.err, words in people.out) == (1, "", True)
    assert "switch on Smart Audio (智能语音)" in people.out
    programs = stembridge("tencent", "bucket", "--json")
    assert (programs.code, "Smart Audio" in programs.of("bucket")[0]["remedy"]) == (1, True)
    assert programs.events[-1] == {"event": "summary", "count": 1, "exit_code": 1}


@pytest.mark.parametrize("words", ["templates", "templates create a", "bucket"])
def test_without_keys_the_way_in_is_told(
    stembridge: Run, cloud: TencentSimulator, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("STEMBRIDGE_TENCENT_SECRET_KEY", "")
    result = stembridge("tencent", *words.split())
    assert (result.code, "stembridge login tencent_ci" in result.err) == (3, True)
    assert cloud.log == []


def test_a_right_that_is_missing_is_named(stembridge: Run, cloud: TencentSimulator) -> None:
    cloud.denied = {"POST /template"}
    result = stembridge("tencent", "templates", "create", "a")
    assert (result.code, "ci:CreateMediaTemplate" in result.err, len(result.err.splitlines())) == (3, True, 1)
    assert cloud.keys.secret_id not in result.err


def test_a_bucket_elsewhere_is_said(stembridge: Run, cloud: TencentSimulator) -> None:
    headers = {"Location": "https://songs.ci.ap-shanghai.myqcloud.com/template"}
    cloud.faults.add(refuse("*", "*", 301, "", headers=headers, times=None))
    for words in ("templates", "templates create a", "bucket"):
        result = stembridge("tencent", *words.split())
        assert (result.code, len(result.err.splitlines())) == (2, 1)
        assert "the bucket is in another region: set [tencent] region" in result.err


@pytest.mark.parametrize("words", re.findall(r"^stembridge (tencent [^#\n]+)", README, re.M))
def test_what_the_readme_names_exists(words: str) -> None:
    context = click.Context(build_app(), obj=Context())
    command: click.Command | None = context.command
    for word in words.split():
        if isinstance(command, click.Group):
            command = command.get_command(context, word)
    assert command is not None
    assert all(
        option in [name for one in command.params for name in one.opts] for option in re.findall("--[a-z]+", words)
    )


def submitted(cloud: TencentSimulator, user_data: str) -> str:
    """Make a job as another program would, and return its id."""
    cloud.store.put("in/Sóng.flac", Blob.of(b"song"))
    request = JobRequest(
        source="in/Sóng.flac",
        mode="IsAudio",
        config={},
        template="",
        outputs={"AuObject": "out/v.flac"},
        user_data=user_data,
        queue=QUEUE,
        callback="",
        callback_format="",
        fields={"bucket": BUCKET, "region": REGION},
    )
    return cloud.jobs.add(request, QUEUE).id


def test_jobs_of_the_bucket_are_listed_and_shown_whoever_made_them(stembridge: Run, cloud: TencentSimulator) -> None:
    mine, other = submitted(cloud, "mine"), submitted(cloud, "other")
    cloud.needs_queue = True
    people = stembridge("tencent", "jobs")
    assert (people.code, people.err) == (0, "")
    assert all(word in people.out for word in (mine, other, "mine", "other", "Submitted", "in/Sóng.flac"))
    (told,) = stembridge("tencent", "jobs", "mine", "--json").of("remote_job")
    assert (told["id"], told["name"], told["state"]) == (mine, "mine", "Submitted")
    assert stembridge("tencent", "jobs", "nobody").out == "tencent_ci has no job called nobody\n"
    cloud.behaviour.message = "no sound in it"
    cloud.jobs.all[other].failure = "no sound in it"
    shown = stembridge("tencent", "job", other)
    assert (shown.code, shown.err) == (0, "")
    assert all(word in shown.out for word in (other, "Failed", "InternalError: no sound in it"))
    gone = stembridge("tencent", "job", "j0")
    assert gone.code != 0
    assert "knows no job j0" in gone.err


def test_the_service_of_a_provider_that_tells_nothing_is_not_asked(stembridge: Run, cloud: TencentSimulator) -> None:
    refused = stembridge("tencent", "jobs", "--provider", "nobody")
    assert refused.code == 2
    assert cloud.log == []


def test_jobs_of_mediax_are_listed_and_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stembridge = run_here(capsys, FakePoint("tencent_ci", plugin), FakePoint("mediax", mediax_plugin))
    with MediaxSimulator(fetches=False, walk=(1, 3)) as service:
        for name, value in {"SECRET_ID": SECRET_ID, "SECRET_KEY": SECRET_KEY, "BASE_URL": service.url}.items():
            monkeypatch.setenv(f"STEMBRIDGE_MEDIAX_{name}", value)
        assert stembridge("tencent", "jobs", "--provider", "mediax").out == "mediax has no jobs\n"
        made = client_for(service)
        songs = {"url": "https://songs.example/a.mp3?sign=s3cret"}
        job = asyncio.run(made.create_job(songs, [descriptor(["mood"])], custom_id="mine"))
        (told,) = stembridge("tencent", "jobs", "mine", "--provider", "mediax", "--json").of("remote_job")
        assert (told["id"], told["name"], told["state"]) == (job.id, "mine", "SUBMITTED")
        assert (told["song"], str(told["created"])[:2]) == ("https://songs.example/a.mp3", "20")
        for _ in range(2):
            shown = stembridge("tencent", "job", job.id, "--provider", "mediax")
        assert "COMPLETED" in shown.out
        assert "安静" in shown.out
        assert "s3cret" not in shown.out
        assert "not found" in stembridge("tencent", "job", "none", "--provider", "mediax").err


def test_an_object_is_looked_into(stembridge: Run, cloud: TencentSimulator, tmp_path: Path) -> None:
    song = write_song(tmp_path / "Sóng.flac", 1.0)
    cloud.store.put("my music/Sóng.flac", Blob.of(song.read_bytes()))
    cloud.store.put("note.txt", Blob.of(b"text"))
    people = stembridge("tencent", "media-info", "/my music/Sóng.flac")
    assert (people.code, people.err) == (0, "")
    assert all(word in people.out for word in ("flac, 44100 Hz, 2 channels", "1.000000 s"))
    (told,) = stembridge("tencent", "media-info", "my music/Sóng.flac", "--json").of("media_info")
    assert told["audio"] == [{"codec": "flac", "sample_rate": "44100", "channels": "2", "seconds": "1.000000"}]
    assert "is no media" in stembridge("tencent", "media-info", "note.txt").err
    gone = stembridge("tencent", "media-info", "none.wav").err
    assert ("NoSuchKey" in gone, "made again" in gone) == (True, False)
