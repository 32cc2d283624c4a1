"""Where files of models are on this machine: our own folder, and those of other programmes, which are only read.

What is nowhere is fetched from the first place that has it, checked, and gets its name only when it is whole. A file is
told by its size and digest, never by its name.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from plugin_core.errors import ServiceError, SpoiltFileError, StembridgeError, TransientError, UsageError
from plugin_core.files.disk import explain_read_error, explain_write_error, try_lock
from plugin_core.files.placement import copy_file, rename_exclusive, sync_folder, write_durably
from plugin_core.model import show_path
from plugin_core.providers.neural.networks import NeuralModel, WeightFile, Weights

if TYPE_CHECKING:
    from plugin_core.transfer import Bytes, Transfer  # whose weight the worker does not need

MOST_FILES: Final = 2_000
"""Files that are looked at in a folder of another programme."""
HEAD_ROOM: Final = 64 << 20
"""Bytes that are left free on the disk."""


class Digest(msgspec.Struct, frozen=True):
    """What the bytes of a file are, while the file is as it was then."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str
    md5: str


class _Notes(msgspec.Struct):
    """What was found out: digests by path, and those of files that are published with a part of theirs, by name."""

    seen: dict[str, Digest] = {}
    learnt: dict[str, str] = {}


_NOTES: Final = msgspec.json.Decoder(_Notes)


def read_digest(path: Path) -> Digest:
    """Read a file once.

    Raises:
        OSError: it cannot be read.
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        while block := file.read(1 << 20):
            sha256.update(block)
            md5.update(block)
    return Digest(status.st_size, status.st_mtime_ns, status.st_ino, sha256.hexdigest(), md5.hexdigest())


def is_file(file: WeightFile, digest: Digest, learnt: str = "") -> bool:
    """Tell whether bytes are those that were published."""
    is_alike = digest.size == file.bytes and file.md5 in ("", digest.md5)
    return is_alike and digest.sha256.startswith(learnt or file.sha256)


class Library:
    """The files of models on this machine.

    Args:
        folder: our own.
        others: folders of other programmes; default those that are usual on this system.
    """

    def __init__(self, folder: Path, others: tuple[Path, ...] | None = None) -> None:
        self.folder = folder
        self._others = foreign_folders(os.environ) if others is None else others
        self._notes_path = folder / "digests.json"

    def find(self, file: WeightFile) -> Path | None:
        """Return where a file is, in our folder or another programme's; None where it is not."""
        found = self._find(file, self._read_notes())
        return None if found is None else found.path

    def weights(self, files: tuple[WeightFile, ...]) -> tuple[Weights, ...] | None:
        """Return where all of some files are, with their whole digests; None where one is missing."""
        notes = self._read_notes()
        found = tuple(one for file in files if (one := self._find(file, notes)) is not None)
        return found if len(found) == len(files) else None

    def _find(self, file: WeightFile, notes: _Notes) -> Weights | None:
        for path in self._candidates(file):
            digest = self._digest(path, notes)
            if digest is not None and is_file(file, digest, notes.learnt.get(file.name, "")):
                return Weights(file=msgspec.structs.replace(file, sha256=digest.sha256), path=path)
        return None

    def take(self, model: NeuralModel, path: Path) -> WeightFile:
        """Copy a file that the user has into our folder; return which of the model's it is.

        Raises:
            UsageError: it is none of the model's, or cannot be read.
            PlacementError: our folder cannot be written.
        """
        try:
            digest = read_digest(path)
        except OSError as error:
            raise explain_read_error(path, error) from error
        file = next((file for file in model.files if is_file(file, digest)), None)
        if file is None:
            raise UsageError(
                f"{show_path(path)} is no file of {model.id}: its {digest.size:,} bytes have the SHA-256"
                f" {digest.sha256[:16]}...",
                remedy=f"{model.id} has {', '.join(file.name for file in model.files)}, from {model.page}",
            )
        self._make_folder()
        try:
            with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".copy-", delete=False) as opened:
                draft = Path(opened.name)
            try:
                copy_file(path, draft)
                if read_digest(draft).sha256 != digest.sha256:
                    raise UsageError(f"{show_path(path)} changed while it was copied", remedy="try again")
                self.place(file, draft)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise explain_write_error(self.folder, error) from error
        return file

    def place(self, file: WeightFile, draft: Path) -> Path:
        """Put a whole file into our folder under its name, and remember its digest.

        Raises:
            SpoiltFileError: it is not the file that was published.
            OSError: it cannot be renamed.
        """
        digest, notes = read_digest(draft), self._read_notes()
        if not is_file(file, digest, notes.learnt.get(file.name, "")):
            raise SpoiltFileError(
                f"{file.name}: its digest {digest.sha256[:16]}... is not the published one, and it was removed",
                remedy="fetch it again later",
            )
        target = self.folder / file.name
        with suppress(FileNotFoundError):
            target.unlink()  # not the file, or ``find`` would have found it
        rename_exclusive(draft, target)
        sync_folder(self.folder)
        if len(file.sha256) < 64:
            notes.learnt[file.name] = digest.sha256
        self._remember(target, digest, notes)
        return target

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_write_error(self.folder, error) from error

    def room(self) -> int:
        """Return the free bytes where our folder is, or will be.

        Raises:
            PlacementError: it cannot be made.
        """
        self._make_folder()
        return shutil.disk_usage(self.folder).free

    def _candidates(self, file: WeightFile) -> Iterator[Path]:
        """Yield what may be the file: ours of that name, and whatever elsewhere has its size."""
        yield self.folder / file.name
        for folder in self._others:
            for path in _list(folder):
                with suppress(OSError):
                    if path.stat().st_size == file.bytes:
                        yield path

    def _digest(self, path: Path, notes: _Notes) -> Digest | None:
        """Return the digest of a file, read only if the file is not as it was."""
        try:
            status = path.stat()
            known = notes.seen.get(os.fsdecode(path))
            if known and (known.size, known.mtime_ns, known.inode) == (
                status.st_size,
                status.st_mtime_ns,
                status.st_ino,
            ):
                return known
            digest = read_digest(path)
        except OSError:
            return None
        self._remember(path, digest, notes)
        return digest

    def _remember(self, path: Path, digest: Digest, notes: _Notes) -> None:
        """Keep a digest; not to be able to costs the next reading, and nothing else."""
        notes.seen[os.fsdecode(path)] = digest
        with suppress(OSError, UnicodeError):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_durably(self._notes_path, msgspec.json.encode(notes))

    def _read_notes(self) -> _Notes:
        try:
            return _NOTES.decode(self._notes_path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return _Notes()


def _list(folder: Path) -> list[Path]:
    """Return the files of a folder, at most some; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for _, entry in zip(range(MOST_FILES), entries, strict=False) if entry.is_file()]
    except OSError:
        return []
    return sorted(found)


def foreign_folders(
    environ: Mapping[str, str], platform: str = sys.platform, home: Path | None = None
) -> tuple[Path, ...]:
    """Return the folders in which other programmes keep models: UVR, audio-separator, torch.hub, demucs-onnx."""
    try:
        home = home or Path.home()
    except RuntimeError:
        return ()
    found = [Path(environ.get("AUDIO_SEPARATOR_MODEL_DIR") or "/tmp/audio-separator-models")]  # noqa: S108 - theirs
    if platform == "win32" and environ.get("LOCALAPPDATA"):
        found.append(Path(environ["LOCALAPPDATA"], "Programs", "Ultimate Vocal Remover", "models", "MDX_Net_Models"))
    if platform == "darwin":
        found.append(Path("/Applications/Ultimate Vocal Remover.app/Contents/Resources/models/MDX_Net_Models"))
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    found.append(home / "ultimatevocalremovergui" / "models" / "MDX_Net_Models")  # its source, as git calls a copy
    found.append(Path(environ.get("TORCH_HOME") or cache / "torch") / "hub" / "checkpoints")
    hub = Path(environ.get("HF_HUB_CACHE") or Path(environ.get("HF_HOME") or cache / "huggingface") / "hub")
    return (*found, *sorted(hub.glob("models--StemSplitio--htdemucs*/snapshots/*")))


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
        TransientError: not now, or another process fetches; what came is kept, and gone on from.
        ServiceError: refused, or something else came, which was removed.
        PlacementError: our folder cannot be written.
    """
    found = await asyncio.to_thread(lambda: [library.find(file) for file in files])
    missing = [file for file, path in zip(files, found, strict=True) if path is None]
    if not missing:
        return [path for path in found if path is not None]
    total, done = sum(file.bytes for file in missing), 0
    if await asyncio.to_thread(library.room) < total + HEAD_ROOM:
        raise TransientError(f"{show_path(library.folder)} has no room for {total / 1e6:.0f} MB", remedy="make room")
    with _open_lock(library.folder / ".fetching") as lock:
        if not try_lock(lock.fileno()):
            raise TransientError("another process fetches a model just now", remedy="wait for it")
        for file in missing:
            await _fetch(library, model, file, transfer, _within(tell, done, total))
            done += file.bytes
    return [path for path in [library.find(file) for file in files] if path is not None]


def _open_lock(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise explain_write_error(path, error) from error


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
