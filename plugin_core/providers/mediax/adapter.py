"""MediaX as the core's tagger, with what login, doctor and callbacks need of either kind of job."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from plugin_core.callbacks.calls import read_json
from plugin_core.errors import StembridgeError
from plugin_core.model import Finding, Plan, Question, Source, Tagging, Ticket, Verdict
from plugin_core.protocols import Finished, Order, Report, Waiting
from plugin_core.providers.mediax.answers import find_job
from plugin_core.providers.mediax.client import MediaxClient, descriptor
from plugin_core.providers.mediax.jobs import MediaxJobs, advise
from plugin_core.providers.mediax.results import DIMENSIONS, read_labels
from plugin_core.providers.mediax.settings import LOGIN
from plugin_core.settings import Secret


class MediaxTagger(MediaxJobs):
    """Labels by MediaX."""

    name = "mediax"
    title = "Tencent MediaX: mood, genre, language, scene and more"
    section = "mediax"
    token = ""
    doing = "listening"

    async def plan(self, source: Source, wish: Tagging) -> Plan:
        """Check the wish and fill in its defaults.

        Raises:
            RefusedError: there are no keys.
            SettingsError: a setting is malformed.
            UsageError: an unknown dimension.
        """
        self._settings.check()
        dimensions = wish.dimensions or DIMENSIONS
        descriptor(dimensions)
        ordered = tuple(each for each in DIMENSIONS if each in dimensions)
        return Plan(operation=msgspec.structs.replace(wish, dimensions=ordered), notes=advise(source))

    async def submit(self, order: Order, report: Report) -> Ticket:
        """Make the job for the staged file.

        Raises:
            OutcomeUnknownError: it may have been made.
            TransientError: surely not made.
            ServiceError: refused.
        """
        return await self._create(order, report, descriptor(_dimensions(order)))

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:  # noqa: ARG002
        """Ask how far the job is.

        Raises:
            UnchargedError: it failed or was cancelled.
            ServiceError: it is not known any more.
            TransientError: no answer now.
        """
        found = await self._follow(order)
        return found if isinstance(found, Waiting) else Finished(labels=read_labels(found.raw, _dimensions(order)))

    @property
    def questions(self) -> Sequence[Question]:
        """What a login asks."""
        return (
            Question(name="secret_id", text="secretId (tmpSecretId of the registration)"),
            Question(name="secret_key", text="secretKey (tmpSecretKey of the registration)"),
        )

    async def login(self, answers: Mapping[str, Secret]) -> Mapping[str, Secret]:
        """Try the keys by listing jobs that do not exist, which costs nothing.

        Raises:
            RefusedError: the service does not accept them.
        """
        settings = msgspec.structs.replace(
            self._settings, secret_id=answers["secret_id"], secret_key=answers["secret_key"]
        )
        settings.check()
        await MediaxClient(settings).list_jobs("stembridge-login")
        return {"secret_id": settings.secret_id, "secret_key": settings.secret_key}

    def read_callback(self, body: bytes, content_type: str) -> Collection[str]:  # noqa: ARG002
        """Return the names in a callback: the job's id and its ``customId``.

        Raises:
            ServiceError: it is no JSON.
        """
        job = find_job(read_json(body, "callback of MediaX"))
        return () if job is None else {name for name in (job.id, job.custom_id) if name}

    async def examine(self) -> Sequence[Finding]:
        """Try the keys; without any, nothing is asked of the service."""
        if not (self._settings.secret_id or self._settings.secret_key):
            found, remedy = "no account is set up", "to have one: `stembridge login mediax`"
            return (Finding(name="mediax", verdict=Verdict.OK, found=found, remedy=remedy),)
        if not (self._settings.secret_id and self._settings.secret_key):
            found = "only one of secret_id and secret_key is set"
            return (Finding(name="mediax", verdict=Verdict.WRONG, found=found, remedy=LOGIN),)
        try:
            self._settings.check()
            await self._client.list_jobs("stembridge-doctor")
        except StembridgeError as error:
            remedy = error.remedy or "see the message, and section [mediax] of the settings"
            return (Finding(name="mediax", verdict=Verdict.WRONG, found=error.message, remedy=remedy),)
        return (Finding(name="mediax", verdict=Verdict.OK, found="the keys are accepted"),)


def _dimensions(order: Order) -> Sequence[str]:
    assert isinstance(order.operation, Tagging)
    return order.operation.dimensions or DIMENSIONS
