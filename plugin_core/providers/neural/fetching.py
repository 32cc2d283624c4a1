"""Fetching the files of a model: each from the first place that has it, checked, and under its name only when whole."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from plugin_core.errors import ServiceError, SpoiltFileError, StembridgeError, TransientError, UsageError
from plugin_core.files.errors import explain_write_error
from plugin_core.files.locks import try_lock
from plugin_core.model import show_path
from plugin_core.providers.neural.library import Library
from plugin_core.providers.neural.networks import NeuralModel, WeightFile
from plugin_core.transfer import Bytes, Transfer

HEAD_ROOM: Final = 64 << 20
"""Bytes that are left free on the disk."""


async def fetch_files(
    library: Library, model: NeuralModel, files: Sequence[WeightFile], transfer: Transfer, tell: Bytes
) -> list[Path]:
    """Return where all files of a model are, once those are fetched that are nowhere on this machine.

    Args:
        library: where they are looked for, and put.
        model: whose they are.
        files: what is wanted of it.
        transfer: the way to other machines.
        tell: hears of the bytes of all files together.

    Raises:
        UsageError: nobody publishes a digest of one: it is not fetched.
        TransientError: not now, or another process fetches; what came is kept, and gone on from.
        ServiceError: refused, or something else came, which was removed.
        PlacementError: our folder cannot be written.
    """
    found = await asyncio.to_thread(lambda: [library.find(file) for file in files])
    missing = [file for file, path in zip(files, found, strict=True) if path is None]
    for file in missing:
        if not (file.addresses and file.sha256 and file.bytes):
            raise UsageError(
                f"{file.name} is not fetched: nobody publishes its digest",
                remedy=f"get it from {model.page}, then stembridge models fetch {model.id} --model-file FILE",
            )
    if not missing:
        return [path for path in found if path is not None]
    total, done = sum(file.bytes for file in missing), 0
    if await asyncio.to_thread(library.room) < total + HEAD_ROOM:
        raise TransientError(f"{show_path(library.folder)} has no room for {total / 1e6:.0f} MB", remedy="make room")
    with (library.folder / ".fetching").open("wb") as lock:
        if not try_lock(lock.fileno()):
            raise TransientError("another process fetches a model just now", remedy="wait for it")
        for file in missing:
            await _fetch(library, model, file, transfer, _within(tell, done, total))
            done += file.bytes
    return [path for path in [library.find(file) for file in files] if path is not None]


def _within(tell: Bytes, before: int, total: int) -> Bytes:
    return lambda there, _: tell(before + there, total)


async def _fetch(library: Library, model: NeuralModel, file: WeightFile, transfer: Transfer, tell: Bytes) -> None:
    draft, part = library.folder / f".{file.name}.whole", library.folder / f".{file.name}.part"
    failure: StembridgeError | None = None
    for address in file.addresses:
        try:
            await transfer.download(
                address, draft, size=file.bytes, md5=file.md5, limit=file.bytes, report=tell, part=part
            )
            await asyncio.to_thread(library.place, file, draft)
        except (TransientError, ServiceError) as error:
            failure = failure or error
            if isinstance(error, ServiceError | SpoiltFileError):
                # It is no beginning of the file.
                _forget(draft, part)
        except OSError as error:
            raise explain_write_error(draft, error) from error
        else:
            return
    assert failure is not None
    by_hand = f"or get it with a browser, then stembridge models fetch {model.id} --model-file FILE"
    failure.remedy = f"{failure.remedy or 'try again later'}, {by_hand}"
    raise failure


def _forget(draft: Path, part: Path) -> None:
    for path in (draft, part, part.with_name(f"{part.name}.note")):
        with suppress(OSError):
            path.unlink()
