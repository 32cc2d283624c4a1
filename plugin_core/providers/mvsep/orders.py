"""What becomes of an order at MVSEP: sent, and its ticket; what is said of it, and its files brought home."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from plugin_core.errors import GoneError, OutcomeUnknownError, ServiceError, SourceError, UnchargedError, UsageError
from plugin_core.files.checksum import hash_file
from plugin_core.model import Part, Progress, RemoteFile, Separation, Ticket, show_path
from plugin_core.protocols import Finished, Order, Report, Waiting
from plugin_core.providers.mvsep.catalogue import Algorithm
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.hashes import SEEN, carries_key, is_real_hash, list_known, upload_name
from plugin_core.providers.mvsep.job_calls import Created, Creation, JobAnswer, Phase
from plugin_core.providers.mvsep.models import stems_of_files
from plugin_core.providers.mvsep.options import IS_DEMO, OURS, PRESET, REFERENCE, WEBHOOK
from plugin_core.providers.mvsep.plan import output_of
from plugin_core.providers.mvsep.requests import Kind, Requests, remote_type_of
from plugin_core.service import bring_all, name_result, part_files, plain_suffix, prepared
from plugin_core.settings import Secret
from plugin_core.transfer.calls import Bytes


async def submit(client: MvsepClient, order: Order, requests: Requests, report: Report) -> Ticket:
    """Create the job of an order: upload its song, name the link it can be fetched from, or send the words alone.

    Raises:
        OutcomeUnknownError: sent, and the answer lost.
        TransientError: surely not created.
        ServiceError: refused.
        SourceError: the source cannot be read, or is too large or long for the plan.
        UsageError: a link or a reference is not to be had any more, or a lost job could not be found again.
    """
    wish, kind = order.separation, requests.kind_of(order.source.path)
    hook = wish.options.get(WEBHOOK, "")
    creation = Creation(
        model=wish.model,
        output_format=output_of(wish.options),
        options=service_options(wish),
        is_demo=wish.options.get(IS_DEMO) == "1",
        preset_id=wish.options.get(PRESET, ""),
        webhook_url=requests.kept(hook) or "" if hook else "",
    )
    if kind is not None:
        # Nothing of a request carries the job's key: what is there already is none of ours.
        order.write_note(SEEN, json.dumps(sorted(await list_known(client))))
    if kind is Kind.WORDS:
        created = await client.create(creation)
    elif kind is Kind.LINK:
        link = await asyncio.to_thread(requests.link_of, order.source.path)
        created = await client.create(replace(creation, url=link, remote_type=remote_type_of(link)))
    elif order.url:
        created = await client.create(replace(creation, url=_require_key(order)))
    else:
        created = await _submit_file(client, creation, order, requests, report)
    return make_ticket(client.origin_of, created)


async def _submit_file(
    client: MvsepClient, creation: Creation, order: Order, requests: Requests, report: Report
) -> Created:
    digest = order.separation.options.get(REFERENCE, "")
    reference = await asyncio.to_thread(_find_reference, requests, digest) if digest else None
    async with prepared(order, report) as (upload, tell):
        files = {"audio": upload.path}
        if reference is not None:
            files = {"target_audio": upload.path, "reference_audio": reference}
        name = upload_name(order.key, order.source.path, upload.suffix)
        return await client.create(replace(creation, **files, name=name), report=tell)


def _find_reference(requests: Requests, digest: str) -> Path:
    """Return the file that a song shall sound like, as it was when the job was asked for."""
    path = Path(requests.kept(digest) or "")
    if not path.is_file() or hash_file(path).sha256 != digest:
        raise SourceError(f"the reference {show_path(path)} is gone or has changed", remedy="give it again")
    return path


def _require_key(order: Order) -> Secret:
    """Return a stager's link, by whose file name a lost job can be found."""
    if carries_key(file_name_of(order.url), order.key):
        return order.url
    raise UsageError(
        "the stager's links do not have the job's key in their file name, and MVSEP could not be asked for a job "
        "whose answer is lost",
        remedy="choose another [mvsep] stager, or none",
    )


def make_ticket(origin_of: Callable[[str], str], created: Created) -> Ticket:
    """Return the ticket of a created job; a job by link has a short hash until the service has fetched the file.

    Raises:
        OutcomeUnknownError: the service said yes and named no job.
    """
    if not created.hash:
        raise OutcomeUnknownError("MVSEP took the job and did not say its hash", remedy="it is looked for")
    return Ticket(remote_id=created.hash, origin=origin_of(created.link))


def is_by_link(ticket: Ticket) -> bool:
    """Tell whether a ticket holds the short hash of a download by the service."""
    return not is_real_hash(ticket.remote_id)


def service_options(wish: Separation) -> dict[str, str]:
    """Return what of the resolved options are fields of the model."""
    return {name: value for name, value in wish.options.items() if name not in OURS}


def file_name_of(url: Secret) -> str:
    """Return the file name in a link, which is no secret."""
    return unquote(Path(urlsplit(url.reveal()).path).name)


TRANSCRIPTION: Final = "transcription.json"
"""Name of the result that stands in the answer itself."""

_NAME_LENGTH: Final = 200


def read_answer(job: str, answer: JobAnswer, algorithm: Algorithm | None, seconds: float) -> Waiting | Finished:
    """Return what an answer means for a job.

    Args:
        job: its hash.
        answer: what the service said.
        algorithm: what was asked for, where it is known.
        seconds: until the next look.

    Raises:
        UnchargedError: it failed.
        GoneError: it is not known any more.
        ServiceError: it has no results.
    """
    unclear = ""
    match answer.phase:
        case Phase.DONE:
            return Finished(files=describe_files(job, answer, algorithm), answer=answer.kept)
        case Phase.FAILED:
            reason = answer.message or f"no reason given (status {answer.status!r})"
            raise UnchargedError(f"MVSEP failed the separation: {reason}", remedy="try again, or choose another model")
        case Phase.MISSING:
            raise _gone(job)
        case Phase.UNCLEAR:
            unclear = repr(answer.status or answer.message or "nothing")
    return Waiting(seconds=seconds, progress=describe_progress(answer), unclear=unclear)


def describe_progress(answer: JobAnswer) -> Progress:
    """Return queue position and parts as the core shows them."""
    word = " ".join(answer.status.split())[:40] or "working"
    note = "waiting at MVSEP" if answer.phase is Phase.WAITING else word
    done, every = answer.finished_chunks, answer.all_chunks
    return Progress(
        note=note,
        fraction=min(1.0, max(0.0, done / every)) if done is not None and every else None,
        queue_position=answer.current_order,
        queue_length=answer.queue_count,
        parts_done=done,
        parts_all=every,
    )


def describe_files(job: str, answer: JobAnswer, algorithm: Algorithm | None) -> tuple[RemoteFile, ...]:
    """Return the results of a job that is done.

    Raises:
        ServiceError: there are none.
    """
    files = [file for file in answer.files if file.url]
    stems = stems_of_files(algorithm, [(file.type, file.download or base_name(file.url)) for file in files])
    found = [
        RemoteFile(
            label=" ".join(file.type.split())[:_NAME_LENGTH] or stem,
            stem=stem,
            name=(file.download or base_name(file.url))[-_NAME_LENGTH:],
            url=file.url,
            size=file.bytes if file.bytes and file.bytes > 0 else None,
        )
        for file, stem in zip(files, stems, strict=True)
    ]
    if answer.transcription:
        found.append(RemoteFile(label="Transcription", stem="transcription", name=TRANSCRIPTION))
    if not found:
        raise ServiceError(
            f"MVSEP says job {job} is done and lists no files", remedy="look at the history on https://mvsep.com"
        )
    return tuple(found)


def base_name(url: str) -> str:
    """Return the last component of a link's path."""
    return url.split("?", 1)[0].split("#", 1)[0].rstrip("/").rpartition("/")[2]


def _gone(job: str) -> GoneError:
    return GoneError(
        f"MVSEP does not know job {job} any more: it expired or was deleted",
        remedy="results are kept for about three days; the separation has to be bought again",
    )


AUDIO: Final = frozenset({".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".mp4", ".ogg", ".opus", ".w64", ".wav"})
_AUDIO_MARKS: Final = (b"RIFF", b"fLaC", b"ID3", b"OggS", b"FORM", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")

Transcription = Callable[[], Awaitable[Sequence[Any]]]
"""Ask for the transcription that stands in the job's answer."""


async def fetch_results(
    client: MvsepClient, order: Order, report: Report, transcription: Transcription, *, limit: int
) -> list[Part]:
    """Bring every result, three at a time; what is there already is not fetched again.

    Args:
        client: downloads, resuming what this or another process left.
        order: the job, with its results.
        report: hears how far all are together.
        transcription: asked where a result stands in the answer itself.
        limit: most bytes of one file.

    Raises:
        ServiceError: a file is gone, too large or not as long as announced.
        TransientError: the network or the disk; to be continued.
    """

    async def bring(index: int, file: RemoteFile, tell: Bytes) -> Part:
        path = order.folder / local_name(index, file)
        if not file.url:
            await asyncio.to_thread(_write_json, path, order.attempt, await transcription())
        elif not _is_there(path, file):
            await _download(client, order, file, path, limit, tell)
        return Part(stem=file.stem, label=file.label, path=path, is_audio=await _is_audio(path))

    return await bring_all(order, report, bring)


def local_name(index: int, file: RemoteFile) -> str:
    """Return the name a result has in the job's folder."""
    return name_result(index, file.url, suffix_of(file))


def suffix_of(file: RemoteFile) -> str:
    """Return the lower-case suffix of the suggested name, else of the link; "" for anything odd."""
    return plain_suffix(file.name) or plain_suffix(base_name(file.url))


def is_audio(path: Path) -> bool:
    """Tell whether a fetched file is to be treated as a stem; MIDI, text and archives are placed as they are."""
    if path.suffix:
        return path.suffix in AUDIO
    with path.open("rb") as opened:
        return opened.read(12).startswith(_AUDIO_MARKS)


async def _is_audio(path: Path) -> bool:
    # Only the content of a file without a suffix is worth a thread.
    return is_audio(path) if path.suffix else await asyncio.to_thread(is_audio, path)


async def _download(client: MvsepClient, order: Order, file: RemoteFile, path: Path, limit: int, tell: Bytes) -> None:
    if file.size is not None and file.size > limit:
        raise ServiceError(f"MVSEP's {file.stem} has {file.size} bytes, more than the {limit} that make sense")
    part, earlier = part_files(order, path)
    await client.download(file.url, path, size=file.size, limit=limit, report=tell, part=part, earlier=earlier)


def _is_there(path: Path, file: RemoteFile) -> bool:
    return path.is_file() and file.size in (None, path.stat().st_size)


def _write_json(path: Path, attempt: str, value: Sequence[Any]) -> None:
    scratch = path.with_name(f"{attempt}.{TRANSCRIPTION}")
    scratch.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
    scratch.replace(path)
