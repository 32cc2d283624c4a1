"""The file that services are sent: the source decoded once, as FLAC, so that both sides share one time base."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.formats import AudioFormat, resolve_format
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.probe import probe
from plugin_core.audio.reader import open_reader, was_read_whole
from plugin_core.audio.samples import count_overs
from plugin_core.audio.writer import open_writer
from plugin_core.errors import SourceError
from plugin_core.tasks import Stopper, run_stoppable

BLOCK: Final = 1 << 16
PREFIX: Final = "upload"
SUFFIXES: Final = (".flac", ".wav", ".w64")
"""What an upload can be."""

_DEEP: Final = frozenset({"pcm_24", "pcm_32", "float", "double"})


class Upload(msgspec.Struct, frozen=True):
    """A file ready to be sent."""

    path: Path
    suffix: str
    note: str = ""
    """What the user should know about it."""

    @property
    def is_own(self) -> bool:
        """Whether it was made for the upload, and is not the user's file."""
        return self.path.name.startswith(f"{PREFIX}.")


class _OverFullScaleError(Exception):
    """A float source exceeds what integers hold."""


async def prepare_upload(source: Path, folder: Path, attempt: str, tell: Callable[[float], None]) -> Upload:
    """Return what is sent for a source: itself if it is plain FLAC, else a FLAC of it in a folder.

    16 and 24 bits stay, lossy sources become 16 bits, 32 bits and floats 24; floats beyond full scale are sent as
    32-bit float WAV, so that nothing is clipped. A file that an earlier try has finished is taken as it is.

    Args:
        source: the song.
        folder: the job's own.
        attempt: a name that no other process uses in that folder.
        tell: hears the share that is done, in the event loop.

    Raises:
        SourceError: it cannot be decoded.
        TransientError: the disk is full, or does not answer.
        PlacementError: the folder cannot be written.
    """
    loop = asyncio.get_running_loop()

    def work(stopper: Stopper) -> Upload:
        def hear(share: float) -> None:
            stopper.check()
            loop.call_soon_threadsafe(tell, share)

        return _prepare(source, folder, attempt, hear)

    return await run_stoppable(work)


def is_clean_flac(path: Path, info: AudioInfo) -> bool:
    """Tell whether a source can be sent as it is: FLAC of 16 or 24 bits, its header right, no tag before it."""
    if info.container != "FLAC" or info.encoding not in ("pcm_16", "pcm_24") or not info.frames or info.layouts:
        return False
    with path.open("rb") as opened:
        return opened.read(4) == b"fLaC"


def _prepare(source: Path, folder: Path, attempt: str, tell: Callable[[float], None]) -> Upload:
    info = probe(source)
    if is_clean_flac(source, info):
        if not was_read_whole(source):
            _hear(source, info, tell)
        return Upload(source, ".flac")
    for suffix in SUFFIXES:
        earlier = folder / f"{PREFIX}{suffix}"
        if earlier.exists():
            return Upload(earlier, suffix)
    return _Encoding(source, folder, attempt, info, tell).run()


def _hear(source: Path, info: AudioInfo, tell: Callable[[float], None]) -> None:
    """Decode a source that is sent as it is: one cut short, or damaged, would be paid for in vain.

    Raises:
        SourceError: it cannot be decoded to its end.
    """
    with open_reader(source, info=info) as reader:
        while len(reader.read(BLOCK, dtype="float32")):
            tell(min(1.0, reader.position / info.frames))


class _Encoding:
    """One source on its way to a lossless file of its own."""

    def __init__(
        self, source: Path, folder: Path, attempt: str, info: AudioInfo, tell: Callable[[float], None]
    ) -> None:
        self._source = source
        self._folder = folder
        self._attempt = attempt
        self._info = info
        self._tell = tell

    def run(self) -> Upload:
        wish = "flac24" if self._info.encoding in _DEEP else "flac16"
        try:
            chosen = resolve_format(wish, self._info)
        except SourceError:
            # FLAC's header cannot say every sample rate.
            chosen = resolve_format("wav24" if wish == "flac24" else "wav16", self._info)
        try:
            clipped = self._encode(chosen, refuse_clipping=self._info.encoding in ("float", "double"))
        except _OverFullScaleError:
            chosen = resolve_format("wav32f", self._info)
            self._encode(chosen, refuse_clipping=False)
            return self._finish(chosen, "sent as 32-bit float WAV: it exceeds full scale")
        note = f"{clipped} samples over full scale were clipped for the upload, as a player does" if clipped else ""
        return self._finish(chosen, note)

    def _encode(self, chosen: AudioFormat, *, refuse_clipping: bool) -> int:
        """Write the source below a name of our own; return how many samples were clipped."""
        info = self._info
        total = info.frames or round(info.duration * info.sample_rate) or 1
        clipped = 0
        with (
            open_reader(self._source, info=info) as reader,
            open_writer(
                self._scratch(chosen), sample_rate=info.sample_rate, channels=info.channels, format=chosen
            ) as writer,
        ):
            while len(block := reader.read(BLOCK, dtype="float64")):
                if not chosen.is_float:
                    over = count_overs(block)
                    if over and refuse_clipping:
                        raise _OverFullScaleError
                    clipped += over
                writer.write(block)
                self._tell(min(1.0, reader.position / total))
        return clipped

    def _finish(self, chosen: AudioFormat, note: str) -> Upload:
        path = self._folder / f"{PREFIX}{chosen.suffix}"
        self._scratch(chosen).replace(path)
        return Upload(path, chosen.suffix, note)

    def _scratch(self, chosen: AudioFormat) -> Path:
        return self._folder / f"{self._attempt}.{PREFIX}{chosen.suffix}"
