"""The endpoints below ``separation/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from plugin_core.errors import OutcomeUnknownError
from plugin_core.providers.mvsep.answers import Created, JobAnswer, Notice
from plugin_core.providers.mvsep.answers.account import parse_notice
from plugin_core.providers.mvsep.answers.jobs import parse_created, parse_job
from plugin_core.providers.mvsep.caller import Caller
from plugin_core.providers.mvsep.creation import Creation
from plugin_core.transfer import Answer, Bytes


class JobCalls(Caller):
    """Separations: started, asked about, ended and brought here."""

    async def create(
        self,
        *,
        model: str,
        output_format: int,
        audio: Path | None = None,
        name: str = "",
        url: str = "",
        remote_type: str = "direct",
        target_audio: Path | None = None,
        reference_audio: Path | None = None,
        options: Mapping[str, str] | None = None,
        is_demo: bool = False,
        webhook_url: str = "",
        preset_id: str = "",
        report: Bytes | None = None,
    ) -> Created:
        """Start a separation: the one call that may cost money, never sent twice by itself.

        Exactly one of ``audio``, ``url``, the pair of target and reference, or none of them (models without input).

        Args:
            model: ``render_id``, sent as ``sep_type``.
            output_format: 0 mp3 320, 1 wav 16 bit, 2 flac 16 bit, 3 m4a, 4 wav 32 bit, 5 flac 24 bit.
            audio: the song, streamed.
            name: the file name the service is told for ``audio``; default its own.
            url: where the service fetches the song itself; a ``Secret`` is revealed only while it is sent.
            remote_type: ``direct``, ``mega``, ``drive`` or ``dropbox``.
            target_audio: of a matchering model, what is to be changed.
            reference_audio: of a matchering model, what it shall sound like.
            options: option key by field name (``add_opt1`` ..); empty ones are left out.
            is_demo: publish the result.
            webhook_url: (experimental) called when the job ends.
            preset_id: (experimental) a preset stored at the service.
            report: told of bytes sent.

        Raises:
            RefusedError: token, credits, plan or the quota of the day.
            SourceError: too large or too long for the plan, empty, unreadable, changed under way.
            ServiceError: refused otherwise.
            UsageError: inputs that exclude each other.
            TransientError: surely not created: not sent, rate limit, or another job is still queued.
            OutcomeUnknownError: sent, and no answer of the service came back.
        """
        creation = Creation(
            model=model,
            output_format=output_format,
            audio=audio,
            name=name,
            url=url,
            remote_type=remote_type,
            target_audio=target_audio,
            reference_audio=reference_audio,
            options=options or {},
            is_demo=is_demo,
            webhook_url=webhook_url,
            preset_id=preset_id,
        )
        body = creation.body(self._with_token({}))
        created = parse_created(await self._post_once("separation/create", body, report=report))
        if not created.hash:
            raise OutcomeUnknownError("MVSEP separation/create: accepted, but the answer names no job")
        return created

    async def get(self, job: str, *, origin: str = "", mirror: bool = False) -> JobAnswer:
        """Ask how far a job is; ``status`` is ``not_found`` for one that is unknown, deleted or expired.

        Args:
            job: its real hash.
            origin: API base of the node it lives on (``origin_of``); default the configured base.
            mirror: ask for links at a mirror, which needs the token and costs one credit; sent once.
        """
        query = {"hash": job, "mirror": str(int(mirror))}
        answer = await self._fetch("separation/get", query, origin=origin, with_token=mirror, once=mirror)
        return self._read_job("separation/get", answer)

    async def get_remote(self, job: str, *, origin: str = "") -> JobAnswer:
        """Ask about a job made from a URL by its short hash; once done, ``hash`` and ``link`` name the real job."""
        answer = await self._fetch("separation/get-remote", {"hash": job}, origin=origin)
        return self._read_job("separation/get-remote", answer)

    async def cancel(self, job: str, *, origin: str = "") -> Notice:
        """Cancel a job that waits; its credits come back.

        Raises:
            ServiceError: it is too late, or there is no such job.
        """
        return parse_notice(await self._post("separation/cancel", {"hash": job}, origin=origin))

    async def delete(self, job: str, *, origin: str = "") -> Notice:
        """Remove a job and its files (experimental).

        Raises:
            ServiceError: there is no such job.
        """
        return parse_notice(await self._post("separation/delete", {"hash": job}, origin=origin))

    async def download(
        self,
        url: str,
        target: Path,
        *,
        size: int | None = None,
        limit: int = 8 << 30,
        report: Bytes | None = None,
        part: Path | None = None,
        earlier: Sequence[Path] = (),
    ) -> int:
        """Bring a result file (``ResultFile.url``) without credentials; see ``Transfer.download``."""
        return await self.transfer.download(
            url, target, size=size, limit=limit, report=report, part=part, earlier=earlier
        )

    def _read_job(self, path: str, answer: Answer) -> JobAnswer:
        """Read an answer about a job: also ``success: false`` is one, if it says anything about the job."""
        found = parse_job(answer.data)
        if not found.status and not answer.is_success:
            self._check(path, answer)
        return found
