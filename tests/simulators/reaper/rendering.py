"""What a project sounds like: every item at its position, by offset, rate, section, loop, fades and volume.

Tracks pass on as many channels as they have, to the folder that they stand in; one that is muted, or whose parent send
is off, passes nothing. Effects, sends and envelopes are not there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soundfile

from tests.simulators.reaper.objects import Item, Project, Source, Take, Track

Signal = npt.NDArray[np.float64]

RATE = 44100
CHANNELS = 6
"""Of the mix."""
_CACHE: dict[str, Signal] = {}
_FIXED_LANES = 2


def render(project: Project, seconds: float) -> Signal:
    """Mix every item that is heard: float64 samples (frames, channels) at 44.1 kHz, linearly interpolated."""
    mix = np.zeros((round(seconds * RATE), CHANNELS))
    folders: list[tuple[float, int]] = []
    for track in project.tracks:
        gain, channels = folders[-1] if folders else (1.0, CHANNELS)
        is_off = track.values.get("B_MUTE") or not track.values.get("B_MAINSEND", 1.0)
        law = track.values.get("D_PANLAW", -1.0)
        gain *= 0.0 if is_off else track.values.get("D_VOL", 1.0) * (project.pan_law if law < 0 else law)
        channels = min(channels, int(track.values.get("I_NCHAN", 2)))
        for item in track.items:
            for take in item.takes if gain and _is_heard(track, item) else ():
                if item.values.get("B_ALLTAKESPLAY") or take is item.take:
                    add_take(mix[:, :channels], item, take, gain, _delay(track))
        if track.depth > 0:
            folders.append((gain, channels))
        for _ in range(-track.depth):
            folders.pop()
    return mix


def _is_heard(track: Track, item: Item) -> bool:
    is_lane_off = track.values.get("I_FREEMODE") == _FIXED_LANES and item.values.get("C_LANEPLAYS", 1.0) == 0
    return not item.values.get("B_MUTE") and not is_lane_off


def _delay(track: Track) -> float:
    """Return the media playback offset of a track, in seconds."""
    flag = int(track.values.get("I_PLAY_OFFSET_FLAG", 0))
    return 0.0 if flag & 1 else track.values.get("D_PLAY_OFFSET", 0.0) / (RATE if flag & 2 else 1)


def add_take(mix: Signal, item: Item, take: Take, gain: float, delay: float = 0.0) -> None:
    """Add one take of an item to a mix."""
    if take.source is None or take.source.root.kind == "MIDI" or not item.values["D_LENGTH"]:
        return
    start, length = item.values["D_POSITION"] + delay, item.values["D_LENGTH"]
    first, last = max(0, int(np.ceil(start * RATE - 1e-6))), min(len(mix), int(np.ceil((start + length) * RATE - 1e-6)))
    into = np.arange(first, last) / RATE - start
    samples = _play(take, _source_time(take, into), bool(item.values.get("B_LOOPSRC")))
    samples = _route(samples, int(take.values.get("I_CHANMODE", 0)))
    level = _fade(item, into) * gain * item.values["D_VOL"] * take.values["D_VOL"]
    count = min(samples.shape[1], mix.shape[1])
    mix[first:last, :count] += (samples * level[:, None])[:, :count]


def _source_time(take: Take, into: Signal) -> Signal:
    offset, rate = take.values.get("D_STARTOFFS", 0.0), take.values["D_PLAYRATE"]
    if not take.markers:
        return offset + into * rate
    positions, sources, slopes = (np.array(column) for column in zip(*take.markers))
    place = into * rate
    segment = np.clip(np.searchsorted(positions, place, side="right") - 1, 0, max(0, len(positions) - 2))
    after = np.minimum(segment + 1, len(positions) - 1)
    share = (place - positions[segment]) / np.maximum(positions[after] - positions[segment], 1e-12)
    # A slope lets the rate within a segment run from (1 - slope) to (1 + slope) times its mean.
    moved = sources[segment] + (sources[after] - sources[segment]) * share * (1 + slopes[segment] * (share - 1))
    moved = np.where(place < positions[0], sources[0] + place - positions[0], moved)
    late: Signal = np.where(place > positions[-1], sources[-1] + place - positions[-1], moved)
    return late


def _play(take: Take, time: Signal, is_looped: bool) -> Signal:
    source = take.source
    assert source is not None
    length = source.shape[0]
    is_heard = np.ones_like(time, dtype=bool) if is_looped else (time >= -1e-9) & (time < length - 1e-9)
    return _read(source, np.mod(time, length) if is_looped else time) * is_heard[:, None]


def _read(source: Source, time: Signal) -> Signal:
    if source.parent is not None:
        inner = source.shape[0] - time if source.is_reversed else time
        return _read(source.parent, inner + (source.start if source.mode != 3 else 0.0))
    if source.path not in _CACHE:
        _CACHE[source.path] = soundfile.read(source.path, dtype="float64", always_2d=True)[0]
    samples, place = _CACHE[source.path], time * source.shape[1]
    columns = [np.interp(place, np.arange(len(samples)), column, left=0.0, right=0.0) for column in samples.T]
    return np.stack(columns * 2 if len(columns) == 1 else columns, axis=1)


def _route(samples: Signal, mode: int) -> Signal:
    if mode == 1:
        return samples[:, ::-1]
    if mode == 2:
        return np.repeat(samples.mean(axis=1, keepdims=True), 2, axis=1)
    return samples if mode == 0 else np.repeat(samples[:, [mode - 3]], 2, axis=1)


def _fade(item: Item, into: Signal) -> Signal:
    gain = np.ones_like(into)
    fade_in, fade_out = item.values.get("D_FADEINLEN", 0.0), item.values.get("D_FADEOUTLEN", 0.0)
    if fade_in:
        gain *= np.clip(into / fade_in, 0, 1)
    if fade_out:
        gain *= np.clip((item.values["D_LENGTH"] - into) / fade_out, 0, 1)
    return gain
