"""The stager ``s3``: an object in any S3-compatible bucket, readable by link for some hours; needs the extra ``s3``."""

from __future__ import annotations

import asyncio
import functools
import logging
import mimetypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from plugin_core.errors import RefusedError, ServiceError, SettingsError, StembridgeError, TransientError, install_hint
from plugin_core.files.depot import S3Settings
from plugin_core.files.disk import explain_read_error
from plugin_core.model import Finding, Verdict, disarm
from plugin_core.settings import Secret
from plugin_core.stagers import Ledger, check_key, staged_name

T = TypeVar("T")

TRIAL: Final = "stembridge-doctor"
INSTALL: Final = install_hint("s3")

_ACCOUNT: Final = frozenset(
    {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed"}
)
_WRONG_PLACE: Final = {
    "NoSuchBucket": "bucket",
    "AuthorizationHeaderMalformed": "region",
    "PermanentRedirect": "region",
    "IllegalLocationConstraintException": "region",
    "PathStyleDomainForbidden": 'addressing: "virtual"',
}
"""Which setting is wrong, by the code of the refusal."""
_NETWORK: Final = {
    "SSLError": "where a company's proxy or a virus scanner stands between, name a file with its CA in SSL_CERT_FILE",
    "ProxyConnectionError": "see to the proxy, or correct or unset it: HTTPS_PROXY, NO_PROXY",
    "EndpointConnectionError": "look at the network, and at [s3] endpoint_url and region",
}
_log = logging.getLogger(__name__)


class S3Stager:
    """Stages files in a bucket.

    Args:
        settings: section ``[s3]``.
        home: stembridge's home, where is kept what was staged for which job.
    """

    name = "s3"

    def __init__(self, settings: S3Settings, home: Path) -> None:
        self._settings = settings
        self._ledger = Ledger(home / "staged" / self.name)

    async def stage(self, path: Path, key: str) -> str:
        """Upload the file and return a link good for some hours."""
        return await asyncio.to_thread(self._stage, path, key)

    async def unstage(self, key: str) -> None:
        await asyncio.to_thread(self._unstage, key)

    async def link(self, key: str) -> Secret | None:
        """Return a link good for some hours to any object of the bucket; None when there is none.

        Raises:
            StembridgeError: as ``stage``.
        """
        return await asyncio.to_thread(lambda: self._link(key) if self._has(key) else None)

    async def find(self, beginning: str) -> list[str]:
        """Return the names of all objects that begin so, at most a thousand."""
        return await asyncio.to_thread(self._listed, beginning)

    async def remove(self, key: str) -> None:
        await asyncio.to_thread(self._remove, key)

    async def examine(self) -> Sequence[Finding]:
        """Put an object of a few bytes into the bucket, and remove it."""
        try:
            await asyncio.to_thread(self._try)
        except StembridgeError as error:
            remedy = error.remedy or "see the message, and section [s3] of the settings"
            return [Finding(name=self.name, verdict=Verdict.WRONG, found=error.message, remedy=remedy)]
        return [Finding(name=self.name, verdict=Verdict.OK, found=f"{self._settings.bucket} can be written")]

    def _try(self) -> None:
        # Always the same name: one that a killed process left goes the next time.
        name = f"{self._folder(TRIAL)}{TRIAL}"
        self._ask(lambda: self._client.put_object(Bucket=self._settings.bucket, Key=name, Body=b"trial"))
        self._remove(name)

    def _stage(self, path: Path, key: str) -> Secret:
        client = self._client
        name = f"{self._folder(key)}{staged_name(path, key)}"
        self._ledger.note(key, name)
        extra = {"ContentType": mimetypes.guess_type(path.name)[0] or "application/octet-stream"}
        try:
            with path.open("rb") as file:
                self._ask(lambda: client.upload_fileobj(file, self._settings.bucket, name, ExtraArgs=extra))
        except OSError as error:
            raise explain_read_error(path, error) from error
        return self._link(name)

    def _link(self, name: str) -> Secret:
        parameters = {"Bucket": self._settings.bucket, "Key": name}
        seconds = int(self._settings.link_hours * 3600)
        make = functools.partial(self._client.generate_presigned_url, Params=parameters, ExpiresIn=seconds)
        return Secret(self._ask(lambda: make("get_object")))

    def _has(self, name: str) -> bool:
        import botocore.exceptions

        def look() -> bool:
            try:
                self._client.head_object(Bucket=self._settings.bucket, Key=name)
            except botocore.exceptions.ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                    return False
                raise
            return True

        return self._ask(look)

    def _remove(self, name: str) -> None:
        self._ask(lambda: self._client.delete_object(Bucket=self._settings.bucket, Key=name))

    def _unstage(self, key: str) -> None:
        folder = self._folder(key)
        names = self._ledger.names(key)
        for name in self._listed(folder) if names is None else names:
            self._remove(name)
        self._abort(folder)
        self._ledger.forget(key)

    def _listed(self, folder: str) -> list[str]:
        page = self._ask(lambda: self._client.list_objects_v2(Bucket=self._settings.bucket, Prefix=folder))
        return [each["Key"] for each in page.get("Contents", ())]

    def _abort(self, folder: str) -> None:
        """Give up uploads in parts that a killed process left."""
        client, bucket = self._client, self._settings.bucket
        try:
            page = self._ask(lambda: client.list_multipart_uploads(Bucket=bucket, Prefix=folder))
        except ServiceError as error:
            _log.info("unfinished uploads are not looked for: %s", error)
            return
        for each in page.get("Uploads", ()):
            where = {"Bucket": bucket, "Key": each["Key"], "UploadId": each["UploadId"]}
            self._ask(functools.partial(client.abort_multipart_upload, **where))

    def _folder(self, key: str) -> str:
        prefix = self._settings.prefix.strip("/")
        return f"{prefix}/links/{check_key(key)}/" if prefix else f"links/{check_key(key)}/"

    def _ask(self, call: Callable[[], T]) -> T:
        """Call boto3; its errors become ours, without what they hold of requests."""
        import boto3.exceptions
        import botocore.exceptions

        try:
            return call()
        except botocore.exceptions.ClientError as error:
            raise _refusal(error.response) from None
        except boto3.exceptions.S3UploadFailedError as error:
            cause = error.__context__
            if isinstance(cause, botocore.exceptions.ClientError):
                raise _refusal(cause.response) from None
            raise TransientError("S3: the upload failed", remedy="look at the bucket and the network") from None
        except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError) as error:
            raise RefusedError(f"S3: {error}", remedy="set [s3] access_key_id and secret_access_key") from None
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
            kind = type(error).__name__
            raise TransientError(f"S3: no answer ({kind})", remedy=_NETWORK.get(kind, "")) from None
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise SettingsError(f"[s3]: {disarm(str(error))[:200]}", remedy="correct the settings") from None

    @functools.cached_property
    def _client(self) -> Any:
        from plugin_core.transfer.clients import trust_of_environment

        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ImportError as error:
            raise SettingsError("the stager s3 needs boto3, which is not installed", remedy=INSTALL) from error
        settings = self._settings
        config = botocore.config.Config(
            signature_version="s3v4",
            s3={"addressing_style": settings.addressing},
            # Other services than Amazon's refuse the checksums that newer versions add.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"max_attempts": 4, "mode": "standard"},
        )
        try:
            client = boto3.session.Session().client(
                "s3",
                endpoint_url=settings.endpoint_url or None,
                region_name=settings.region or None,
                aws_access_key_id=settings.access_key_id.reveal() or None,
                aws_secret_access_key=settings.secret_access_key.reveal() or None,
                aws_session_token=settings.session_token.reveal() or None,
                config=config,
            )
            _trust(client, trust_of_environment)
            return client
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise SettingsError(f"[s3]: {disarm(str(error))[:200]}", remedy="correct the settings") from None


def _trust(client: Any, context: Callable[[], Any]) -> None:
    """Let a client trust whom every other connection of ours trusts, unless boto3 is told otherwise (AWS_CA_BUNDLE).

    It would bring certificates of its own, and has no setting for those of the system.
    """
    http = client._endpoint.http_session
    if http._verify is True:
        http._get_ssl_context = context
        http._setup_ssl_cert = lambda *_: None
        http._manager = type(http._manager)(**http._get_pool_manager_kwargs())
        http._manager.pool_classes_by_scheme = http._pool_classes_by_scheme


def _refusal(response: Any) -> StembridgeError:
    error, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    status = meta.get("HTTPStatusCode", 0)
    code = disarm(str(error.get("Code", "")))
    words = disarm(str(error.get("Message", "")))[:200]
    request = f", request id {disarm(str(meta['RequestId']))}" if meta.get("RequestId") else ""
    said = f"S3: {code}: {words} (HTTP {status}{request})"
    if status >= 500 or status == 429 or code == "SlowDown":
        return TransientError(said)
    if code in _WRONG_PLACE or status == 301:
        return SettingsError(said, remedy=f"correct [s3] {_WRONG_PLACE.get(code, 'region')}")
    if code in _ACCOUNT or status in (401, 403):
        return RefusedError(said, remedy="look at the keys of [s3], their rights, and this computer's clock")
    return ServiceError(said)
