"""The page in Debian's Chromium: a song is dropped, separated, played in step, looped and saved; ten thousand jobs."""

from __future__ import annotations

import base64
import math
import shutil
import time
from pathlib import Path

import msgspec
import pytest
import soundfile

from plugin_core.files.database import new_id
from plugin_core.jobs.queries import insert, to_row
from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState, Label, Tagging
from plugin_core.session import STORE_NAME
from tests.audio_files import make_noise, write_samples
from tests.hosts.ui.browser import Browser
from tests.hosts.ui.conftest import Server, serving
from tests.plugin_core.jobs.fakes import make_job

MANY = 10_000
DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0));
const moved = new DataTransfer();
moved.items.add(new File([bytes], arguments[1], {type: "audio/flac"}));
document.querySelector("main").dispatchEvent(new DragEvent("drop", {dataTransfer: moved, bubbles: true}));
"""
RENDER = """
// Every lane into a channel of its own, by the player's own scheduling.
const [job, loop, seconds] = arguments;
const {Transport, segmentsOf} = await import("/transport.js");
const lanes = await (await fetch(`/api/jobs/${job}/lanes`)).json();
const rate = lanes[0].rate;
const context = new OfflineAudioContext(lanes.length, Math.round(seconds * rate), rate);
const merger = context.createChannelMerger(lanes.length);
merger.connect(context.destination);
const transport = new Transport(context, lanes, segmentsOf(job, fetch), {ahead: seconds});
if (loop) {
  transport.setLoop({start: loop[0], end: loop[1]});
  transport.seek(loop[0]);
}
transport.lanes.forEach((lane, index) => {
  lane.gain.disconnect();
  const splitter = context.createChannelSplitter(lane.channels);
  lane.gain.connect(splitter);
  splitter.connect(merger, 0, index);
});
await transport.play();
const begin = transport.pieces[0].when;
clearInterval(transport.timer);
const rendered = await context.startRendering();
const {start, end} = transport.loop ?? {start: 0, end: transport.total};
const found = [];
for (const [index, lane] of transport.lanes.entries()) {
  const whole = new Float32Array(lane.frames);
  for (let segment = 0; segment * 4 * rate < lane.frames; segment += 1) {
    whole.set((await transport.fetchSegment(lane, segment))[0], segment * 4 * rate);
  }
  const heard = rendered.getChannelData(index);
  let wrong = 0;
  let loudest = 0;
  for (let at = begin; at < heard.length; at += 1) {
    const place = at - begin;
    const wanted = loop ? whole[start + place % (end - start)] : (whole[place] ?? 0);
    if (heard[at] !== wanted) wrong += 1;
    loudest = Math.max(loudest, Math.abs(heard[at]));
  }
  found.push({name: lane.name, wrong, loudest});
}
return found;
"""
STRETCH = """
// Every lane into a channel of its own, at another speed: those of a job, or two that are made here.
const [job, speed, seconds] = arguments;
const {Transport, segmentsOf} = await import("/transport.js");
const made = [44100, 22050, 44100].map((rate, index) =>
  ({name: ["tone", "lower", "silence"][index], rate, channels: 1, frames: 8 * rate}));
const sound = async (lane, segment) => [Float32Array.from({length: 4 * lane.rate}, (_, index) => {
  const time = 4 * segment + index / lane.rate;
  return lane.name === "silence" ? 0 : time / 8 * Math.sin(2 * Math.PI * 440 * time);
})];
const lanes = job ? await (await fetch(`/api/jobs/${job}/lanes`)).json() : made;
const rate = lanes[0].rate;
const context = new OfflineAudioContext(lanes.length, Math.round(seconds * rate), rate);
const merger = context.createChannelMerger(lanes.length);
merger.connect(context.destination);
const transport = new Transport(context, lanes, job ? segmentsOf(job, fetch) : sound, {ahead: seconds});
transport.lanes.forEach((lane, index) => {
  lane.gain.disconnect();
  const splitter = context.createChannelSplitter(lane.channels);
  lane.gain.connect(splitter);
  splitter.connect(merger, 0, index);
});
await transport.setSpeed(speed);
const {port} = transport.stretch;
const post = port.postMessage.bind(port);
let [sent, heard] = [0, 0];
port.postMessage = (...message) => {
  sent += 1;
  post(...message);
};
port.addEventListener("message", () => heard += 1);
await transport.play();
clearInterval(transport.timer);
while (heard < sent) await new Promise((end) => setTimeout(end, 10));
const rendered = await context.startRendering();
// By what the worklet says the player knows where it is.
while (!job && transport.told.at < 7.9 * rate) await new Promise((end) => setTimeout(end, 10));
const [source, ...others] = lanes.map((_, index) => rendered.getChannelData(index));
const length = source.findLastIndex((sample) => Math.abs(sample) > 1e-4) / rate;
if (job) {
  // What is stretched alike sums up as it did.
  const gap = source.reduce((most, sample, index) =>
    Math.max(most, Math.abs(sample - others.reduce((sum, other) => sum + other[index], 0))), 0);
  return {length, gap, loudest: Math.max(...others.map((one) => one.reduce((most, sample) => Math.max(most, sample))))};
}
const second = (from) => source.subarray(from * rate, (from + 1) * rate);
return {
  length,
  gap: source.reduce((most, sample, index) => Math.max(most, Math.abs(sample - others[0][index])), 0),
  crossings: second(2).reduce((count, sample, index, all) => count + (index && all[index - 1] < 0 && sample >= 0), 0),
  // Where grains meet there is no edge: a sine bends evenly.
  bend: second(2).reduce((most, sample, index, all) =>
    Math.max(most, Math.abs((all[index + 1] ?? NaN) - 2 * sample + all[index - 1]) || 0), 0),
  loudness: second(2).reduce((most, sample) => Math.max(most, sample), 0),
};
"""
SCAN = """
// Six lanes of ten minutes, played through from segment to segment on a clock that runs.
const {Transport} = await import("/transport.js");
const context = new AudioContext({sampleRate: 44100});
const lanes = Array.from({length: 6}, (_, index) =>
  ({name: `${index}`, rate: 44100, channels: 2, frames: 600 * 44100}));
let fetched = 0;
let open = 0;
let most = 0;
const transport = new Transport(context, lanes, async () => {
  fetched += 1;
  most = Math.max(most, ++open);
  await new Promise((end) => setTimeout(end));
  open -= 1;
  return [0, 1].map(() => new Float32Array(4 * 44100).fill(0.1));
});
let kept = 0;
let nodes = 0;
transport.play();
for (let segment = 0; segment < 150; segment += 1) {
  transport.seek(segment * transport.size);
  await transport.fill();
  kept = Math.max(kept, transport.kept.size);
  nodes = Math.max(nodes, transport.nodes.size);
}
transport.close();
// A file that is gone, and there again when the same stretch is played once more.
const losses = [];
let isGone = true;
const frail = new Transport(context, lanes.slice(0, 2), async (lane) => {
  if (isGone && lane.name === "0") throw Object.assign(new Error("gone"), {status: 422});
  return [new Float32Array(4 * 44100)];
});
frail.onloss = (names) => losses.push(names.join());
await frail.play();
isGone = false;
frail.seek(0);
await frail.fill();
frail.close();
await context.close();
// A second and a half into a piece that is scheduled for the first second, 400 samples into the song.
const place = Object.assign(Object.create(Transport.prototype), {
  rate: 100, speed: 1, isPlaying: true, context: {currentTime: 2.5}, pieces: [{when: 100, from: 400, frames: 400}],
}).position;
return {place, losses, fetched, kept, nodes, most, left: transport.nodes.size + transport.kept.size};
"""

ANEW = """
// What the page of a song asks for when changes may have been missed, and no more once it was left.
const {showSong} = await import("/song.js");
const [place, changes, asked, usual] = [document.createElement("main"), new EventTarget(), [], window.fetch];
const page = showSong(place, {changes, argument: arguments[0]});
while (!place.querySelector(".lane")) await new Promise((end) => setTimeout(end, 50));
window.fetch = (path, ...more) => {
  if (!path.includes("/pcm/")) asked.push(path);
  return usual(path, ...more);
};
changes.dispatchEvent(new CustomEvent("anew"));
page.close();
changes.dispatchEvent(new CustomEvent("anew"));
window.fetch = usual;
return asked;
"""

RACE = """
// Changes that are told while the list is asked for, which is as it was before them.
const {showJobs} = await import("/jobs.js");
const [place, changes, usual] = [document.createElement("main"), new EventTarget(), window.fetch];
const known = (await (await usual("api/jobs?limit=1")).json()).rows[0];
const row = (id, state) => ({...known, id, state, song: id});
let answer;
// The player of the page before goes on loading.
window.fetch = (path, ...more) =>
  path.startsWith("api/jobs?") ? new Promise((go) => answer = go) : usual(path, ...more);
showJobs(place, {changes});
const tell = (detail) => changes.dispatchEvent(new CustomEvent("change", {detail}));
tell({rows: [row("d", "done"), row("c", "failed")], gone: ["b"]});
answer(Response.json({rows: ["c", "b", "a"].map((id) => row(id, "queued")), counts: {}}));
while (!place.querySelector(".job")) await new Promise((end) => setTimeout(end, 10));
tell({rows: [row("a", "cancelled"), row("e", "queued")], gone: ["d"]});
window.fetch = usual;
return [...place.querySelectorAll(".job")].map((one) => `${one.dataset.id} ${one.dataset.state}`);
"""

SHOWN = """
// The list is asked for anew: what is gone of each stretch goes, and nothing else. A waveform is as high as its peaks.
const {showJobs} = await import("/jobs.js");
const {Wave} = await import("/wave.js");
const [place, changes, usual] = [document.createElement("main"), new EventTarget(), window.fetch];
const known = (await (await usual("api/jobs?limit=1")).json()).rows[0];
const name = (number) => `j${1000 + number}`;
const rows = (...numbers) => numbers.map((number) => ({...known, id: name(number), song: name(number)}));
const down = (from, count) => Array.from({length: count}, (_, index) => from - index);
const asked = [];
const answers = [];
window.fetch = (path, ...more) => !path.startsWith("api/jobs?") ? usual(path, ...more) : new Promise((go) => {
  asked.push(path);
  answers.push((found) => go(Response.json({rows: found, counts: {}})));
});
const answer = async (found) => {
  answers.shift()(found);
  for (let turn = 0; turn < 5; turn += 1) await new Promise((end) => setTimeout(end));
};
showJobs(place, {changes});
await answer(rows(...down(200, 100)));
changes.dispatchEvent(new CustomEvent("anew"));
changes.dispatchEvent(new CustomEvent("change", {detail: {rows: rows(190)}}));
await answer(rows(...down(203, 100).filter((one) => ![190, 150].includes(one)), 103, 102));
await answer(rows(101));
window.fetch = usual;
const left = [...place.querySelectorAll(".job")].map((one) => one.dataset.id);
const gone = down(203, 103).map(name).filter((one) => !left.includes(one));

const wave = new Wave({colour: "#ff0000"}, {seconds: 1});
document.body.append(wave.element);
wave.peaks = new Int8Array([-32, 127, -127, 0]);
wave.draw();
const {width, height} = wave.canvas;
const {data} = wave.canvas.getContext("2d").getImageData(0, 0, width, height);
const drawn = [width / 4, 3 * width / 4].map((x) =>
  Array.from({length: height}, (_, y) => data[4 * (y * width + Math.floor(x)) + 3] > 127))
  .map((one) => [one.indexOf(true) / height, (one.lastIndexOf(true) + 1) / height]);
wave.close();
wave.element.remove();
return {gone, count: left.length, asked: asked.map((one) => one.replace("api/jobs?", "")), drawn};
"""

TWICE = """
// A job that is done while its page is made: what is asked for first is answered last.
const {showSong} = await import("/song.js");
const [place, changes, usual] = [document.createElement("main"), new EventTarget(), window.fetch];
const held = [];
let asked = 0;
const rows = [await (await usual(`/api/jobs/${arguments[0]}`)).json()];
const tell = () => changes.dispatchEvent(new CustomEvent("change", {detail: {rows}}));
window.fetch = async (path, ...more) => {
  const isFirst = path.endsWith(arguments[0]) && !asked++;
  const answer = await usual(path, ...more);
  // It may be told of before the answer has come, which is older.
  if (isFirst && arguments[1]) tell();
  if (path.endsWith("/lanes")) await new Promise((go) => held.push(go));
  return isFirst
    ? Response.json({...await answer.json(), state: "running"}) : answer;
};
const page = showSong(place, {changes, argument: arguments[0]});
const until = async (is_so) => { while (!is_so()) await new Promise((end) => setTimeout(end, 20)); };
await until(() => held.length === 1);
if (!arguments[1]) tell();
await until(() => held.length === 2);
held[0]();
await new Promise((end) => setTimeout(end, 200));
held[1]();
await until(() => place.querySelector(".player"));
window.fetch = usual;
page.close();
return place.querySelectorAll(".player").length;
"""
HELD = """
// A song that is on its way while another is named.
const usual = window.fetch;
window.fetch = (path, ...more) => String(path).startsWith("api/songs")
  ? new Promise((_, refuse) => window.refuse = refuse) : usual(path, ...more);
const picker = document.querySelector("#picker");
const moved = new DataTransfer();
moved.items.add(new File(["x"], "Other.flac"));
picker.files = moved.files;
picker.dispatchEvent(new Event("change"));
document.querySelector("[name=path]").value = "/music/Third.flac";
document.querySelector("form.row button").click();
const count = document.querySelectorAll(".songs progress").length;
window.refuse(new Error("not this one"));
await new Promise((end) => setTimeout(end));
window.fetch = usual;
document.querySelector("[aria-label='Leave out /music/Third.flac']").click();
return [count, document.querySelectorAll(".songs li").length];
"""
KNOBS_SAY = """
return [...document.querySelectorAll("[type=range]")].map((one) => {
  const before = one.ariaValueText;
  one.value = 0.5;
  one.dispatchEvent(new Event("input"));
  return before;
});
"""
HIDE = """
// As browsers do with a tab that is behind another; without a window they say it of none.
if (arguments[0]) Object.defineProperty(document, "hidden", {value: true, configurable: true});
else delete document.hidden;
document.dispatchEvent(new Event("visibilitychange"));
"""
UNDO = """
const usual = window.fetch;
window.fetch = async (path, ...more) => {
  if (path.endsWith("/undo")) return Response.json({told: "taken back"});
  const answer = await usual(path, ...more);
  return path.endsWith("/written")
    ? Response.json(Object.fromEntries(Object.keys(await answer.json()).map((id) => [id, true]))) : answer;
};
"""


def resident(browser: Browser) -> int:
    """Return the bytes of memory that the processes of the browser's pages have, as they say."""
    found = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"--type=renderer" in words and any(browser.profile in word for word in words):
                pages = int((folder / "statm").read_text().split()[1])
                found += pages * 4096
        except (OSError, IndexError):
            continue
    return found


def test_a_song_is_dropped_separated_played_looped_and_saved(
    server: Server, browser: Browser, song: Path, tmp_path: Path
) -> None:
    browser.open(server.fresh_link())
    browser.until("document.querySelector('h1').textContent === 'Jobs'")
    assert browser.run("return document.cookie") == ""
    assert browser.run("return location.href") == f"{server.origin}/"

    name = "Größe & <b>Maß</b>.flac"
    browser.run(DROP, base64.b64encode(song.read_bytes()).decode(), name)
    browser.until("document.querySelector('.songs button')")
    assert browser.run(HELD) == [1, 1]
    # What was asked for is there again after a look at another page.
    browser.run("location.hash = '#/spending'")
    browser.until("document.querySelector('h1').textContent === 'Spending'")
    browser.run("history.back()")
    browser.until("document.querySelector('.songs button')")
    browser.click("#price:not(:disabled)")
    browser.click("#begin")
    browser.until("document.querySelector('.job')?.dataset.state === 'done'")
    browser.until("document.querySelectorAll('.lane').length === 5")
    browser.until("[...document.querySelectorAll('canvas')].every((one) => one.width > 300)")
    job = browser.run("return location.hash.split('/')[2]")

    position = "Number(document.querySelector('.time').value.split(' / ')[0].split(':')[1])"
    browser.press(" ")
    browser.until(f"{position} >= 1")
    assert browser.run("return document.querySelector('.round').getAttribute('aria-label')") == "Pause"
    assert browser.run("return document.querySelector('.time').getAttribute('aria-live')") == "off"
    silent = "[...document.querySelectorAll('.lane')].map((one) => one.classList.contains('silent')).join()"
    assert browser.run(f"return {silent}") == "true,false,false,false,false"
    browser.press("2")
    assert browser.run(f"return {silent}") == "true,false,true,true,true"
    browser.press("2")
    browser.click("[aria-label='Mute Drums']")
    assert browser.run(f"return {silent}") == "true,false,true,false,false"
    browser.press("c")
    assert browser.run(f"return {silent}") == "false,true,true,true,true"
    browser.press("c")
    browser.press("L")
    assert browser.run("return [...document.querySelectorAll('.chip')][0].getAttribute('aria-pressed')") == "true"
    for _ in range(5):
        browser.press("-")
    browser.until("document.querySelector('.speed output').value === '75 %'")
    before = browser.run(f"return {position}")
    browser.until(f"{position} !== {before}")
    browser.press("+")
    browser.until("document.querySelector('.speed output').value === '80 %'")
    browser.press("0")
    browser.until("document.querySelector('.speed output').value === '100 %'")
    # Held down, and pressed again while it is written.
    for is_again in ("false", "true", "false"):
        key = f"{{key: 'e', repeat: {is_again}, bubbles: true}}"
        browser.run(f"document.body.dispatchEvent(new KeyboardEvent('keydown', {key}))")
    browser.until("document.querySelector('.toast.good')?.textContent.includes('saved: ')")
    (stems,) = (server.folder / "dropped").glob("Gr*.stems")
    (mix,) = stems.glob("* - Mix.flac")
    parts = [
        soundfile.read(next(stems.glob(f"* - {one}.flac")), dtype="int16")[0] for one in ("Vocals", "Bass", "Other")
    ]
    assert (soundfile.read(mix, dtype="int16")[0] == sum(part.astype("int32") for part in parts)).all()

    assert [browser.run(TWICE, job, is_told_early) for is_told_early in (False, True)] == [1, 1]
    assert browser.run(RACE) == ["e queued", "c failed", "a cancelled"]
    shown = browser.run(SHOWN)
    assert (shown["gone"], shown["count"]) == (["j1150"], 102)
    assert shown["asked"] == [
        "limit=100&before=&state=",
        "limit=100&before=&state=",
        "limit=1&before=j1102&state=",
    ]
    assert shown["drawn"] == [pytest.approx([0, 0.625], abs=0.03), pytest.approx([0.5, 1], abs=0.03)]
    assert browser.run(ANEW, job) == [f"api/jobs/{job}"]
    for loop, seconds in ((None, 11.0), ([70_001, 250_003], 12.5)):
        for lane in browser.run(RENDER, job, loop, seconds):
            assert lane["wrong"] == 0, (lane, loop)
            assert lane["loudest"] > 0.01
    assert browser.complaints() == []
    for speed in (0.5, 1.5):
        found = browser.run(STRETCH, job, speed, 22.0)
        assert found["gap"] < 1e-5
        assert found["loudest"] > 0.01
        assert found["length"] == pytest.approx(10.0 / speed, abs=0.2)
    for width, height in ((1280, 900), (768, 1000), (380, 800)):
        browser.resize(width, height)
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        browser.picture(tmp_path / f"song-{width}.png")


FORWARD, BACK = "\ue014", "\ue012"
STANDS = "parseFloat(document.querySelector('.playhead').style.left) > 1"
PLAYS = "document.querySelector('.round').getAttribute('aria-label') === 'Pause'"
KNOBS = "[...document.querySelectorAll('.lane .pair [aria-pressed=true]')].map((one) => one.ariaLabel).join()"
TOLD = "[...document.querySelectorAll('.toast')].map((one) => one.textContent).join('; ')"


def test_what_plays_goes_on_after_another_page_another_tab_and_files_that_change(
    server: Server, tmp_path: Path, browser: Browser
) -> None:
    song = tmp_path / "Night.wav"
    write_samples(song, make_noise(40 * 44100), 44100)
    (job,) = server.do(song, provider="fake", model="halves")
    browser.open(server.fresh_link())
    browser.run("location.hash = arguments[0]", f"#/song/{job}")
    browser.until("document.querySelectorAll('.lane').length === 3")
    browser.click("[aria-label='Mute Vocals']")
    browser.click("[aria-label='Solo Instrumental']")
    browser.run("document.activeElement.blur()")
    browser.press("l")
    browser.press(FORWARD)
    browser.press(" ")
    browser.until(STANDS)

    # Another page and back: it stands where it was, and keys of a page that is not there do nothing.
    browser.run("location.hash = '#/labels'")
    browser.until("document.querySelector('main h1').textContent === 'Labels'")
    browser.press("2")
    browser.run("history.back()")
    browser.until("document.querySelectorAll('.lane').length === 3")
    assert browser.run(f"return [{PLAYS}, {KNOBS}]") == [False, "Mute Source,Mute Vocals,Solo Instrumental"]
    assert browser.run(f"return {STANDS}")

    # Two tabs do not play at once.
    browser.press(" ")
    browser.until(PLAYS)
    browser.run("new BroadcastChannel('stembridge plays').postMessage('plays')")
    browser.until(f"!({PLAYS})")
    assert "another tab plays" in browser.run(f"return {TOLD}")

    # A stem that is replaced: it is read anew, and all goes on.
    stems = song.with_suffix(".stems")
    vocals, rest = stems / "Night - Vocals.flac", stems / "Night - Instrumental.flac"
    browser.run("window.player = document.querySelector('.player')")
    browser.press(" ")
    shutil.copy(song, tmp_path / "new")
    (tmp_path / "new").replace(rest)
    browser.press(FORWARD)
    browser.press(FORWARD)
    browser.until("!player.isConnected && document.querySelectorAll('.lane').length === 3")
    browser.until(PLAYS)
    assert "Night - Instrumental.flac was changed on the disk; it is read anew" in browser.run(f"return {TOLD}")
    assert browser.run(f"return {KNOBS}") == "Mute Source,Mute Vocals,Solo Instrumental"
    assert browser.run(f"return {STANDS}")

    # Two that are moved away are told in one line, and the others play on; back again, they are heard again.
    browser.run("document.querySelectorAll('.toast').forEach((one) => one.remove())")
    for gone in (vocals, rest):
        gone.rename(gone.with_suffix(".away"))
    browser.press(FORWARD)
    browser.press(FORWARD)
    browser.until(
        f"{TOLD}.includes('silent now: Vocals, Instrumental; Night - Vocals.flac: No such file or directory')"
    )
    assert browser.run("return document.querySelectorAll('.lane.lost').length") == 2
    assert browser.run(f"return {PLAYS}")
    for gone in (vocals, rest):
        gone.with_suffix(".away").rename(gone)
    browser.press(BACK)
    browser.until("!document.querySelector('.lane.lost')")

    # Where nobody answers nothing plays on as if it did.
    browser.run("window.fetch = () => Promise.reject(new TypeError('refused'))")
    browser.press(FORWARD)
    browser.press(FORWARD)
    browser.until(f"!({PLAYS})")
    assert browser.run(f"return {TOLD}").count("stembridge does not answer") == 1


@pytest.mark.parametrize("speed", [0.5, 0.85, 1.5])
def test_another_speed_keeps_the_pitch_and_the_step_of_lanes_of_any_rate(
    server: Server, browser: Browser, speed: float
) -> None:
    browser.open(server.fresh_link())
    found = browser.run(STRETCH, None, speed, 17.0)
    assert found["length"] == pytest.approx(8.0 / speed, abs=0.2)
    assert found["crossings"] == pytest.approx(440, abs=2)
    # It grows with the time of the song.
    assert found["loudness"] == pytest.approx(3.0 * speed / 8.0, abs=0.02)
    assert found["bend"] < 1.3 * found["loudness"] * (2 * math.pi * 440 / 44100) ** 2
    # Another rate is met by straight lines between samples.
    assert found["gap"] < 0.01


def test_six_stems_of_ten_minutes_take_bounded_memory(server: Server, browser: Browser) -> None:
    browser.open(server.fresh_link())
    before = resident(browser)
    found = browser.run(SCAN)
    assert found["place"] == 550
    assert (found["losses"][0], found["losses"][-1]) == ("0", "")
    assert found["fetched"] >= 6 * 150
    assert found["kept"] <= 6
    assert found["nodes"] <= 6 * 4
    assert found["left"] == 0
    # All of it at once would be 1.3 GB.
    assert resident(browser) - before < 600 << 20


def test_ten_thousand_jobs_come_a_page_at_a_time_and_a_change_touches_its_row_alone(
    tmp_path: Path, browser: Browser
) -> None:
    with serving(tmp_path) as server, JobStore(server.home / STORE_NAME) as store:
        first = make_job(path=Path("/music/Song.wav"))
        row = {**to_row(msgspec.structs.replace(first, state=JobState.DONE)), "litter": 0}
        ids = [new_id(time.time) for _ in range(MANY)]
        rows = [row | {"id": one, "body": str(row["body"]).replace(first.id, one)} for one in ids]
        with store._database.write() as connection:
            connection.executemany(insert(rows[0]), rows)
        browser.open(server.link)
        browser.until("document.querySelectorAll('.job').length >= 100")
        assert browser.run("return document.querySelectorAll('.job').length") < 500
        assert f"{MANY:,}" in browser.text()
        browser.run(
            "window.touched = new Set(); new MutationObserver((all) => all.forEach((one) => touched.add("
            "(one.target.nodeType === 1 ? one.target : one.target.parentElement).closest('.job')?.dataset.id ??"
            " [...one.addedNodes].map((node) => node.dataset?.id).join())))"
            ".observe(document.querySelector('.jobs'), {subtree: true, childList: true, attributes: true,"
            " characterData: true})"
        )
        new, _ = store.add(make_job(MANY + 1, path=Path("/music/new.wav")))
        browser.until("document.querySelector('.job').dataset.id === arguments[0]", new.id)
        # Without a mouse: who pressed a button that goes away is still at its row.
        browser.run("document.querySelector('.job [data-act=cancel]').focus()")
        browser.press("\ue007")
        browser.until("document.querySelector('.job .state').textContent.startsWith('cancel')")
        assert browser.run("return [...touched]") == [new.id]
        browser.until("document.activeElement.closest('.job')?.dataset.id === arguments[0]", new.id)
        browser.run("window.scrollTo(0, document.body.scrollHeight)")
        browser.until("document.querySelectorAll('.job').length >= 200")
        # The page is left and found again as it was: in another tab where it is frozen, and for another page of ours.
        browser.run("window.row = document.querySelectorAll('.job')[150]; row.scrollIntoView(); touched.clear()")
        pruned = browser.run("return row.nextSibling.dataset.id")
        # A page that nobody sees hears nothing, and looks at all it shows when it is seen again.
        browser.run(HIDE, True)
        with browser.elsewhere():
            newest, _ = store.add(make_job(MANY + 2, path=Path("/music/newest.wav")))
            with store._database.write() as connection:
                connection.execute("DELETE FROM jobs WHERE id = ?", (pruned,))
        browser.run(HIDE, False)
        browser.until("document.querySelector('.job').dataset.id === arguments[0]", newest.id)
        browser.until("!document.querySelector(`[data-id='${arguments[0]}']`)", pruned)
        changed = {new.id, newest.id, pruned, ""}
        assert set(browser.run("return [...touched].flatMap((one) => one.split(','))")) <= changed
        assert browser.run("return Math.abs(row.getBoundingClientRect().top) < 100")
        # Another page begins at its top, however long it is.
        browser.run("document.body.style.minHeight = '20000px'")
        browser.run("row.querySelector('.song').focus({preventScroll: true})")
        for page in ("labels", "jobs"):
            browser.run("location.hash = `#/${arguments[0]}`", page)
            browser.until(f"document.querySelector('[aria-current]').hash === '#/{page}'")
            assert (page == "labels") == (browser.run("return scrollY") == 0)
        assert browser.run("return Math.abs(row.getBoundingClientRect().top) < 100")
        assert browser.run("return document.activeElement.closest('.job') === row")
        # Where what was seen is gone meanwhile, it is near there all the same.
        browser.run("row.scrollIntoView({block: 'center'})")
        for page in ("labels", "jobs"):
            browser.run("location.hash = `#/${arguments[0]}`", page)
            browser.until(f"document.querySelector('[aria-current]').hash === '#/{page}'")
            browser.run("row.remove()")
        assert browser.run("return scrollY") > 1000


def test_labels_of_a_library_are_charts_that_choose_songs(tmp_path: Path, browser: Browser) -> None:
    with serving(tmp_path) as server, JobStore(server.home / STORE_NAME) as store:
        with store._database.write() as connection:
            for number in range(120):
                found = {"mood": ("Calm", "Dark", "Happy")[number % 3], "genre": ("Rock", "Jazz")[number % 2]}
                job = msgspec.structs.replace(
                    make_job(number, path=Path(f"/music/{'ab'[number % 2]}/{number}.wav")),
                    state=JobState.DONE,
                    operation=Tagging(provider="ears"),
                    labels=tuple(Label(dimension=one, value=value, probability=0.9) for one, value in found.items()),
                )
                row = {**to_row(job), "litter": 0}
                connection.execute(insert(row), row)
        browser.open(server.link)
        # Those of the page before, whose server is gone.
        browser.complaints()
        browser.run("location.hash = '#/labels'")
        browser.until("document.querySelectorAll('.bar').length === 5")
        count = "document.querySelector('[aria-label=Songs] strong').textContent"
        assert browser.run(f"return {count}") == "120 songs"
        assert browser.run("return document.querySelectorAll('.map .cell').length") == 6
        browser.click("[aria-label='Calm: 40 songs']")
        browser.until(f"{count} === '40 songs'")
        # Chosen by the keyboard too: the bar that was pressed keeps the focus.
        assert browser.run("return document.activeElement.getAttribute('aria-label')") == "Calm: 40 songs"
        browser.press("\ue007")
        browser.until(f"{count} === '120 songs'")
        browser.click("[aria-label='Dark, Jazz: 20 songs']")
        browser.until(f"{count} === '20 songs'")
        assert browser.run("return document.querySelectorAll('.job').length") == 20
        browser.write("[name=folder]", "/music/a")
        browser.click("form button")
        browser.until(f"{count} === '60 songs'")
        assert browser.run("return document.querySelectorAll('.job').length") == 50
        browser.until("document.querySelectorAll('.job button').length === 50")
        # What is chosen stays so when labels of one are taken out.
        browser.run(UNDO)
        browser.click("[aria-label='Calm: 20 songs']")
        browser.until("document.querySelectorAll('.job button').length === 20")
        browser.click(".job button")
        browser.until("document.querySelector('.job button').textContent === 'Write'")
        assert browser.run(f"return {count}") == "20 songs"
        for width in (380, 1280):
            browser.resize(width, 900)
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        assert browser.complaints() == []


def controls(browser: Browser) -> list[tuple[str, str]]:
    """Return role and name, as a screen reader says them, of headings and of all that takes the focus."""
    found = []
    for node in browser.command("Accessibility.getFullAXTree", {})["nodes"]:
        facts = {one["name"]: one["value"].get("value") for one in node.get("properties", ())}
        if not node["ignored"] and (node["role"]["value"] == "heading" or facts.get("focusable")):
            found.append((node["role"]["value"], node["name"]["value"]))
    return found


def test_pages_fit_every_width_and_say_what_they_are(
    server: Server, browser: Browser, job: str, tmp_path: Path
) -> None:
    browser.complaints()
    browser.open(server.fresh_link())
    for scheme in ("dark", "light"):
        browser.command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        for page in ("jobs", "new", "labels", "folders", "spending", f"song/{job}"):
            browser.run("location.hash = '#/' + arguments[0]", page)
            browser.until("document.querySelector('main').childElementCount && !document.querySelector(':disabled')")
            # The name of a song comes with its job.
            browser.until("document.querySelector('h1').textContent !== 'Song'")
            for width in (380, 768, 1280):
                browser.resize(width, 900)
                assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), (page, width)
            said = controls(browser)
            assert [one for one in said if not one[1]] == []
            headings = [name for role, name in said if role == "heading"]
            assert headings[:1] == [browser.run("return document.querySelector('h1').textContent")]
            assert "Look again" not in headings[0]
    browser.until("document.querySelectorAll('.lane').length === 5")
    # Parts of one are read out as per cent.
    assert browser.run(KNOBS_SAY) == ["100 %"] * 6
    browser.until("[...document.querySelectorAll('[type=range]')].every((one) => one.ariaValueText === '50 %')")
    assert browser.complaints() == []


def test_a_server_that_was_started_again_says_what_to_do(tmp_path: Path, browser: Browser) -> None:
    with serving(tmp_path) as server, JobStore(server.home / STORE_NAME) as store:
        browser.open(server.link)
        browser.until("document.querySelector('.empty:not([hidden])')")
        pruned, _ = store.add(make_job(path=Path("/music/pruned.wav")))
        browser.until("document.querySelector('.job')?.dataset.id === arguments[0]", pruned.id)
        port = str(server.port)
        server.stop()
    told = "document.getElementById('link').textContent"
    browser.until(f"{told} !== ''")
    with serving(tmp_path, "--no-browser", "--port", port) as server, JobStore(server.home / STORE_NAME) as store:
        browser.until(f"{told}.includes('open the link that')")
        with store._database.write() as connection:
            connection.execute("DELETE FROM jobs")
        # In another tab; this one goes on where it was, and looks at what it missed.
        browser.run("await fetch(arguments[0])", server.link)
        browser.until("!document.querySelector('.job')")
        new, _ = store.add(make_job(2, path=Path("/music/new.wav")))
        browser.until("document.querySelector('.job')?.dataset.id === arguments[0]", new.id)
        assert browser.run(f"return {told}") == ""
