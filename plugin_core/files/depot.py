"""Files that machines share in a bucket of any S3-compatible service; needs the extra ``distributed``.

A file lies there in pieces, ``<folder>/<its digest>-<number>``: whoever sends it again sends the same, a process that
is killed leaves nothing that a list does not show, and no more than a piece is in memory. Whether it is whole is for a
ledger to know, which has its digest once all pieces are there.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from plugin_core.errors import ResultError, SettingsError, StembridgeError, TransientError, install_hint
from plugin_core.files.checksum import Check, Record
from plugin_core.files.disk import explain_read_error, explain_write_error
from plugin_core.settings import Secret

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Store

T = TypeVar("T")

_PIECE: Final = 8 << 20
"""Bytes; readers do not rely on it."""
_TRIES: Final = 3
"""How often a file is read that does not come as it was put."""
_TRIAL: Final = "trial"

_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_WORDS: Final = re.compile(r"<Message>([^<]*)</Message>")
_REASON: Final = re.compile(r'(?:message|error): "([^"]*)"|kind: (Timeout)')
_NO_KEYS: Final = re.compile(r"/latest/(api/token|meta-data)|Missing\w*AccessKey")
_KEYS: Final = "look at access_key_id and secret_access_key of [s3], and what they may do: get, put, list and delete"
_REMEDIES: Final = {
    "NoSuchBucket": "make the bucket, or correct [jobs] staging",
    "RequestTimeTooSkewed": "set the clock of this computer",
    "AuthorizationHeaderMalformed": "correct [s3] region",
    "PermanentRedirect": "correct [s3] region",
    "PathStyleDomainForbidden": 'let [s3] say addressing = "virtual"',
}


class S3Settings(msgspec.Struct, frozen=True, kw_only=True):
    """An S3-compatible service, and the bucket there in which files are staged for links."""

    bucket: str = ""
    endpoint_url: str = ""
    """Empty for Amazon's own."""
    region: str = ""
    access_key_id: Secret = Secret("")
    """Empty for what is found in the environment, or is this machine's by its role."""
    secret_access_key: Secret = Secret("")
    session_token: Secret = Secret("")
    addressing: Literal["auto", "virtual", "path"] = "virtual"
    """How the bucket is named in addresses; COS takes ``virtual`` alone, MinIO often ``path`` alone."""
    prefix: str = "stembridge/"
    """What the names of our objects begin with."""
    link_hours: Annotated[float, msgspec.Meta(gt=0, le=168)] = 12.0
    """Hours for which links are good."""


class Depot:
    """A place in a bucket, with folders of files.

    Args:
        address: ``s3://bucket/prefix``.
        settings: how its service is reached.

    Raises:
        SettingsError: the address is none, or the extra is missing.
    """

    def __init__(self, address: str, settings: S3Settings) -> None:
        parts = urlsplit(address)
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", parts.netloc) or parts.query or parts.fragment:
            raise SettingsError("it names no bucket", remedy="write it as s3://bucket/prefix")
        if find_spec("obstore") is None:
            raise SettingsError("a bucket needs obstore, which is not installed", remedy=install_hint("distributed"))
        self.shown = address.rstrip("/")
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/")
        self._settings = settings

    def put(self, folder: str, path: Path, record: Record, check: Check = lambda: None) -> None:
        """Put a file into a folder.

        Raises:
            TransientError: the bucket cannot be used now, or the file not be read.
        """
        numbers = count()
        try:
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    check()
                    self.write(_name(folder, record, next(numbers)), piece)
        except OSError as error:
            raise explain_read_error(path, error) from error

    def get(self, folder: str, path: Path, record: Record, check: Check = lambda: None) -> None:
        """Bring a file that was put; it is there whole or not at all.

        Raises:
            ResultError: it is gone, or other than it was put.
            TransientError: the bucket cannot be used now, or the disk is full or away.
            PlacementError: the file cannot be written.
        """
        for _ in range(_TRIES):
            draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
            try:
                if self._read_into(draft, folder, record, check) == record:
                    draft.replace(path)
                    return
            except OSError as error:
                raise explain_write_error(path, error) from error
            finally:
                draft.unlink(missing_ok=True)
        raise ResultError(f"{path.name} in {self.shown}/{folder} is not as it was put there")

    def _read_into(self, draft: Path, folder: str, record: Record, check: Check) -> Record:
        draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest, numbers = hashlib.sha256(), count()
        with draft.open("wb") as file:
            while file.tell() < record.size:
                check()
                piece = self.read(name := _name(folder, record, next(numbers)))
                if not piece:
                    raise ResultError(f"{name} is gone from {self.shown}")
                digest.update(piece)
                file.write(piece)
            return Record(file.tell(), digest.hexdigest())

    def write(self, name: str, data: bytes) -> None:
        """Put something small, by its whole name.

        Raises:
            TransientError: the bucket cannot be used now.
        """
        self._ask(lambda: self._store.put(name, data, use_multipart=False))

    def read(self, name: str) -> bytes | None:
        """Return what has a name; None where there is nothing.

        Raises:
            TransientError: the bucket cannot be used now.
        """
        found: bytes | None = self._ask(lambda: self._store.get(name).bytes().to_bytes(), is_optional=True)
        return found

    def remove(self, folder: str) -> None:
        """Remove a folder and all in it; absent is fine.

        Raises:
            TransientError: the bucket cannot be used now.
        """
        found = self._ask(lambda: [each["path"] for page in self._store.list(f"{folder}/") for each in page])
        if found:
            self._ask(lambda: self._store.delete(found))

    def folders(self, parent: str) -> list[str]:
        """Return the names of the folders in one.

        Raises:
            TransientError: the bucket cannot be used now.
        """
        found = self._ask(lambda: self._store.list_with_delimiter(f"{parent}/"))
        return [each.rpartition("/")[2] for each in found["common_prefixes"]]

    def check(self) -> None:
        """Put something small, read, list and remove it.

        Raises:
            TransientError: the bucket cannot be used now.
        """
        # Always the same name: one that a killed process left goes the next time.
        self.write(f"{_TRIAL}/{_TRIAL}", _TRIAL.encode())
        self.read(f"{_TRIAL}/{_TRIAL}")
        self.remove(_TRIAL)

    def _ask(self, call: Callable[[], T], *, is_optional: bool = False) -> T:
        """Call obstore; its errors become ours, without what they repeat of requests."""
        from obstore.exceptions import BaseError

        try:
            return call()
        except (BaseError, OSError) as error:
            code = _CODE.search(str(error))
            if is_optional and isinstance(error, FileNotFoundError) and (not code or code[1] != "NoSuchBucket"):
                return None  # type: ignore[return-value]
            raise self._explain(str(error), code[1] if code else "") from None

    def _explain(self, text: str, code: str) -> StembridgeError:
        """Say in one line what keeps the bucket from being used: no fault of what is put there, so that it waits."""
        if _NO_KEYS.search(text):
            return TransientError(
                f"{self.shown}: no keys are set", remedy="set access_key_id and secret_access_key of [s3]"
            )
        if code:
            words = _WORDS.search(text)
            said = f"{code}: {words[1][:200]}" if words else code
            usual = _KEYS if " 403 " in text or " 401 " in text else "see what its service says"
            return TransientError(f"{self.shown}: {said}", remedy=_REMEDIES.get(code, usual))
        found = _REASON.search(text)
        reason = found[1] or found[2] if found else ""
        return TransientError(
            f"{self.shown}: no answer{f' ({reason[:100]})' if reason else ''}",
            remedy="look at the network, and at [s3] endpoint_url and region",
        )

    @cached_property
    def _store(self) -> S3Store:
        from obstore.store import S3Store

        settings = self._settings
        options: S3Config = {
            "endpoint": _address_in(settings, self._bucket),
            "region": settings.region,
            "access_key_id": settings.access_key_id.reveal(),
            "secret_access_key": settings.secret_access_key.reveal(),
            "session_token": settings.session_token.reveal(),
        }
        return S3Store(
            self._bucket,
            prefix=self._prefix or None,
            virtual_hosted_style_request=_is_virtual(settings),
            # Other services than Amazon's want a checksum for it that is not theirs.
            disable_bulk_delete=True,
            client_options={
                # Which addresses may be spoken to is looked at when the settings are read.
                "allow_http": True,
                "connect_timeout": timedelta(seconds=10),
                "read_timeout": timedelta(seconds=60),
                "timeout": timedelta(seconds=300),
            },
            retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=120)},
            config=cast("S3Config", {name: value for name, value in options.items() if value}),
        )


def _is_virtual(settings: S3Settings) -> bool:
    return settings.addressing == "virtual" or (settings.addressing == "auto" and not settings.endpoint_url)


def _address_in(settings: S3Settings, bucket: str) -> str:
    """Return the address of a service, with the bucket in it where that is how it is named."""
    scheme, mark, host = settings.endpoint_url.rstrip("/").partition("://")
    return f"{scheme}{mark}{bucket}.{host}" if mark and _is_virtual(settings) else settings.endpoint_url


def _name(folder: str, record: Record, number: int) -> str:
    return f"{folder}/{record.sha256}-{number:05}"
