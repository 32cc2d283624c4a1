"""Everything a user can get wrong with CI, COS and MediaX: one clear line, the right exit code, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin_core.jobs.store import JobStore
from plugin_core.session import STORE_NAME
from tests.audio_files import encode, write_song
from tests.end_to_end.hasty import ROOT, start
from tests.end_to_end.tencent_bench import settings_for
from tests.simulators.faults import refuse
from tests.simulators.mediax import SECRET_ID, SECRET_KEY, MediaxSimulator
from tests.simulators.tencent import TencentSimulator

LIMIT = 900


class Bench:
    """The real command between both services."""

    def __init__(self, service: MediaxSimulator, bucket: TencentSimulator, home: Path, song: Path) -> None:
        self.service, self.bucket, self.song = service, bucket, song
        self.environ = settings_for(service, bucket, home)

    def set(self, **settings: str) -> None:
        self.environ |= {f"STEMBRIDGE_{name}": text for name, text in settings.items()}

    def run(self, *arguments: object) -> tuple[int, str, str]:
        """Return exit code, output and errors."""
        process = start(self.environ, *arguments)
        out, err = process.communicate(timeout=LIMIT)
        return process.returncode, out.decode(), err.decode()

    def separate(self, *arguments: object) -> tuple[int, str, str]:
        return self.run("separate", "--provider", "tencent_ci", *arguments, self.song)

    def tag(self, *arguments: object) -> tuple[int, str, str]:
        return self.run("tag", "--provider", "mediax", *arguments, self.song)


@pytest.fixture
def bench(home: Path, tmp_path: Path) -> Iterator[Bench]:
    song = write_song(tmp_path / "Song.mp3", 0.3, 22050)
    with MediaxSimulator() as service, TencentSimulator() as bucket:
        yield Bench(service, bucket, home, song)


def assert_one_line(err: str, says: str) -> None:
    lines = err.splitlines()
    assert (len(lines), lines[0][:12]) == (1, "stembridge: "), err
    assert says in lines[0]


def skew(bench: Bench) -> None:
    bench.bucket.clock.advance(3600)


def deny(bench: Bench) -> None:
    bench.bucket.denied.add("POST /jobs")


def want_a_queue(bench: Bench) -> None:
    words = "<Error><Code>InvalidArgument</Code><Message>The parameter QueueId is required.</Message></Error>"
    bench.bucket.faults.add(refuse("POST", "/jobs", 400, words))


SEPARATE = [
    pytest.param({"TENCENT_SECRET_KEY": ""}, [], 3, "none are set; use `stembridge login tencent_ci`", id="no-key"),
    pytest.param({"TENCENT_SECRET_KEY": "not-the-key-1234"}, [], 3, "SignatureDoesNotMatch", id="wrong-key"),
    pytest.param({"TENCENT_SECRET_ID": "AKIDÄ"}, [], 2, "[tencent] secret_id", id="odd-id"),
    pytest.param({"TENCENT_BUCKET": ""}, [], 2, "[tencent] bucket: no bucket is set", id="no-bucket"),
    pytest.param({"TENCENT_BUCKET": "songs"}, [], 2, "'songs' is no bucket with its APPID", id="bucket-without-appid"),
    pytest.param({"TENCENT_REGION": "Guangzhou!"}, [], 2, "is no region", id="region"),
    pytest.param({"TENCENT_COS_BASE_URL": "nowhere"}, [], 2, "cos_base_url is no address", id="base-url"),
    pytest.param({}, ["--model", "Karaoke"], 2, "'Karaoke'", id="mode"),
    pytest.param({}, ["--model", "MusicMode", "--option", "codec=flac"], 2, "flac", id="codec-of-mode"),
    pytest.param({}, ["--option", "codec=ogg"], 2, "'ogg'", id="codec"),
    pytest.param({}, ["--option", "codec=flac", "--option", "samplerate=8000"], 2, "8000", id="samplerate"),
    pytest.param({}, ["--option", "codec=mp3", "--option", "channels=6"], 2, "6", id="channels"),
    pytest.param({}, ["--option", "codec=mp3", "--option", "bitrate=9999"], 2, "9999", id="bitrate"),
    pytest.param({}, ["--option", "kodec=flac"], 2, "'kodec'", id="option"),
    pytest.param({}, ["--option", "template=t0"], 2, "no VoiceSeparate template 't0'", id="template"),
    pytest.param({}, ["--stems", "kazoo"], 2, "kazoo", id="stem"),
]


@pytest.mark.parametrize(("settings", "arguments", "code", "says"), SEPARATE)
def test_a_separation_that_cannot_be_is_one_line(
    bench: Bench, settings: dict[str, str], arguments: list[str], code: int, says: str
) -> None:
    bench.set(**settings)
    found, _, err = bench.separate(*arguments)
    assert found == code, err
    assert_one_line(err, says)
    assert (bench.bucket.jobs.all, bench.bucket.store.objects) == ({}, {})


@pytest.mark.parametrize(
    ("prepare", "code", "says"),
    [
        pytest.param(skew, 3, "set this computer's clock right", id="clock"),
        pytest.param(deny, 3, "ci:CreateMediaJobs", id="no-right"),
        pytest.param(want_a_queue, 1, "`stembridge tencent bucket` shows", id="queue"),
    ],
)
def test_what_the_services_refuse(bench: Bench, prepare: Callable[[Bench], None], code: int, says: str) -> None:
    prepare(bench)
    found, _, err = bench.separate()
    assert found == code, err
    assert_one_line(err, says)
    assert bench.bucket.jobs.all == {}
    bench.bucket.clock.advance(-3600 * (prepare is skew))
    bench.run("jobs", "resume")
    assert bench.bucket.store.objects == {}


TAG = [
    pytest.param(
        {"MEDIAX_SECRET_KEY": ""}, [], 3, "MediaX needs an account; run `stembridge login mediax`", id="no-key"
    ),
    pytest.param({"MEDIAX_SECRET_KEY": "not-the-key-1234"}, [], 3, "secretId or secretKey is wrong", id="wrong-key"),
    pytest.param({}, ["--dimensions", "moods"], 2, "'moods'", id="dimension"),
    pytest.param({"MEDIAX_BASE_URL": "mediax"}, [], 2, "[mediax] base_url is no address", id="base-url"),
    pytest.param(
        {"MEDIAX_GATEWAY_ID": "gwÄ", "MEDIAX_GATEWAY_KEY": "k", "MEDIAX_GATEWAY_SOURCE": "s"},
        [],
        2,
        "gateway_id holds what no header can",
        id="odd-gateway",
    ),
    pytest.param({"MEDIAX_GATEWAY_ID": "gw"}, [], 2, "go together; set all three or none", id="half-a-gateway"),
    pytest.param({"MEDIAX_STAGER": "s3"}, [], 2, "reads songs through stager 's3', which is not set up", id="stager"),
    pytest.param(
        {"TENCENT_BUCKET": ""}, [], 2, "no stager is set up; set one up: a bucket in [tencent]", id="no-stager"
    ),
    pytest.param({}, ["--min-probability", "2"], 2, "2", id="probability"),
    pytest.param({"TENCENT_SECRET_KEY": "not-the-key-1234"}, [], 3, "SignatureDoesNotMatch", id="wrong-stager-key"),
]


@pytest.mark.parametrize(("settings", "arguments", "code", "says"), TAG)
def test_a_tagging_that_cannot_be_is_one_line(
    bench: Bench, settings: dict[str, str], arguments: list[str], code: int, says: str
) -> None:
    before = bench.song.read_bytes()
    bench.set(**settings)
    found, _, err = bench.tag(*arguments)
    assert found == code, err
    assert_one_line(err, says)
    assert (bench.service.created, bench.bucket.store.objects) == (0, {})
    assert bench.song.read_bytes() == before


def test_a_format_the_service_does_not_advise_is_said_and_tried(bench: Bench, tmp_path: Path) -> None:
    bench.song = encode(bench.song, tmp_path / "Song.flac")
    code, out, err = bench.tag("--json")
    assert (code, bench.service.created) == (0, 1), err
    assert "MediaX advises mp3 and wav; .flac may fail" in out


DOCTOR = [
    pytest.param({}, None, 0, "the keys are accepted", id="well"),
    pytest.param({"TENCENT_SECRET_KEY": "not-the-key-1234"}, None, 1, "stembridge login tencent_ci", id="wrong-key"),
    pytest.param({}, "bucket", 1, "NoSuchBucket", id="missing-bucket"),
    pytest.param({}, "binding", 1, "the bucket is not bound to Cloud Infinite", id="unbound"),
    pytest.param({}, "asr", 1, "Smart Audio (智能语音) is not enabled for the bucket", id="not-enabled"),
    pytest.param({}, "clock", 1, "set this computer's clock right", id="clock"),
    pytest.param({}, "writing", 1, "and to put, get and delete its objects", id="no-right-to-write"),
    pytest.param({}, "listing", 1, "ci:DescribeMediaJobs", id="no-right-to-list-jobs"),
    pytest.param({"MEDIAX_SECRET_KEY": "not-the-key-1234"}, None, 1, "secretId or secretKey is wrong", id="mediax-key"),
    pytest.param({"MEDIAX_SECRET_KEY": ""}, None, 1, "only one of secret_id and secret_key is set", id="mediax-half"),
]


@pytest.mark.parametrize(("settings", "what", "code", "says"), DOCTOR)
def test_the_doctor_says_it_in_plain_words(
    bench: Bench, settings: dict[str, str], what: str | None, code: int, says: str
) -> None:
    bench.set(**settings, PLUGINS=f"mediax,tencent_ci,stagers{',local' if not code else ''}")
    if what == "binding":
        bench.bucket.ci_status = "off"
    elif what == "bucket":
        bench.bucket.has_bucket = False
    elif what == "asr":
        bench.bucket.has_asr = False
    elif what == "clock":
        skew(bench)
    elif what == "writing":
        bench.bucket.denied.add("PUT /stembridge/stembridge-doctor")
    elif what == "listing":
        bench.bucket.denied.add("GET /jobs")
    found, out, err = bench.run("doctor")
    assert (found, err) == (code, ""), out + err
    assert says in out
    assert (bench.bucket.jobs.all, bench.service.created, bench.bucket.store.objects) == ({}, 0, {})


def log_in(bench: Bench, provider: str, text: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plugin_core", "login", provider]
    environ = {name: text for name, text in bench.environ.items() if "SECRET" not in name}
    return subprocess.run(
        ["env", *(f"{name}={text}" for name, text in environ.items()), *command],
        input=text,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize("provider", ["tencent_ci", "mediax"])
def test_login_keeps_what_is_accepted_and_nothing_else(bench: Bench, home: Path, provider: str) -> None:
    keys = bench.bucket.keys
    pair = (keys.secret_id, keys.secret_key) if provider == "tencent_ci" else (SECRET_ID, SECRET_KEY)
    for text, code, says in (
        ("", 2, "no answer to: "),
        (f"{pair[0]}\n", 2, "no answer to: "),
        (f"{pair[0]}\nnot-the-key-1234\n", 3, "SignatureDoesNotMatch" if provider == "tencent_ci" else "is wrong"),
    ):
        refused = log_in(bench, provider, text)
        assert refused.returncode == code, refused.stderr
        assert_one_line(refused.stderr, says)
        assert not (home / "config.toml").exists()
    done = log_in(bench, provider, "\n".join([*pair, ""]))
    assert (done.returncode, pair[1] in done.stdout + done.stderr) == (0, False)
    kept = home / "config.toml"
    assert (kept.stat().st_mode & 0o777, pair[1] in kept.read_text()) == (0o600, True)


HOSTILE = {
    "bomb": '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><Response>&b;</Response>',
    "html": "<html><body>portal</body></html>",
    "deep": "<a>" * 20_000,
    "terminal": "<Error><Code>Evil\x07</Code><Message>\u202eevil &#x9b;31m</Message></Error>",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("status", [200, 400])
def test_hostile_answers_cost_nothing(bench: Bench, body: str, status: int) -> None:
    headers = {"Content-Type": "application/xml"}
    fault = bench.bucket.faults.add(refuse("GET", "/jobs*", status, body, headers=headers, times=3))
    code, _, err = bench.separate()
    assert (code, fault.struck) == (0, 3), err
    assert len(bench.bucket.jobs.all) == 1
    assert "\u202e" not in err
    assert "\x9b" not in err


def test_models_do_not_call_free_what_the_cloud_bills(bench: Bench) -> None:
    code, out, _ = bench.run("models", "--provider", "tencent_ci")
    assert code == 0
    assert out.count("billed by Tencent") == 4
    assert "free" not in out


def test_what_the_doctor_finds_is_json_too(bench: Bench) -> None:
    bench.set(TENCENT_SECRET_KEY="not-the-key-1234")
    _, out, _ = bench.run("doctor", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    wrong = [event for event in events if event["event"] == "check" and event["verdict"] == "wrong"]
    assert "tencent_ci bucket" in {event["name"] for event in wrong}


def test_a_job_nothing_is_said_of_for_a_day_waits_for_its_users_word(bench: Bench, home: Path) -> None:
    vague = refuse("GET", "/jobs*", 400, "<Error><Code>InvalidArgument</Code></Error>", times=None)
    fault = bench.bucket.faults.add(vague)
    with start(bench.environ, "separate", "--provider", "tencent_ci", bench.song) as process:
        try:
            # By the second look the first one is noted: let it have been long ago.
            fault.wait(2, timeout=LIMIT)
            with JobStore(home / STORE_NAME) as store:
                store.purchases.change(store.purchases.list()[0].id, unclear_since=1.0)
            _, err = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    assert process.returncode == 1
    waits, failed = err.decode().splitlines()
    assert "waits: Tencent CI GET /jobs/<id>: InvalidArgument" in waits
    assert_one_line(failed, "tencent_ci has said nothing of the job that can be understood for 24 hours")
    assert "what is done is kept, nothing is bought again" in failed
    bench.bucket.faults.clear()
    _, out, _ = bench.run("jobs", "list", "--json")
    code, _, err_of_retry = bench.run("jobs", "retry", json.loads(out.splitlines()[0])["id"])
    assert (code, len(bench.bucket.jobs.all)) == (0, 1), err_of_retry
    assert len(list(bench.song.with_suffix(".stems").iterdir())) == 2
