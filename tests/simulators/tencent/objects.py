"""The objects of one bucket, and the uploads in parts that are not finished."""

from __future__ import annotations

import base64
import hashlib
import io
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import soundfile

from tests.simulators.blobs import Blob
from tests.simulators.messages import Answer, Request
from tests.simulators.storage import serve
from tests.simulators.tencent.errors import RefusedRequestError, xml_answer

SMALLEST_PART = 1 << 20
MOST_PARTS = 10_000


@dataclass(frozen=True)
class Stored:
    """One object."""

    content: Blob
    etag: str
    content_type: str
    modified: float = field(default_factory=time.time)
    meta: dict[str, str] = field(default_factory=dict)
    """The ``x-cos-meta-*`` headers it was put with."""


@dataclass
class Upload:
    """One upload in parts."""

    key: str
    id: str
    begun: float
    parts: dict[int, Stored] = field(default_factory=dict)


class ObjectStore:
    """What COS keeps, and how it answers about it."""

    def __init__(self, bucket: str = "bucket") -> None:
        self.bucket = bucket
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Upload] = {}
        self.completions_to_fail: list[str] = []
        """Codes with which the next completions end, with status 200."""
        self.folder = Path()

    def put(self, key: str, content: Blob, content_type: str = "application/octet-stream") -> Stored:
        stored = Stored(content, md5_of(content), content_type)
        self.objects[key] = stored
        return stored

    def respond(self, request: Request) -> Answer:
        """Answer one request about an object or the bucket."""
        key = request.path[1:]
        if not key:
            return self._bucket(request)
        if "uploadId" in request.query or "uploads" in request.query:
            return self._multipart(request, key)
        match request.method:
            case "PUT":
                return self._put(request, key)
            case "GET" if "ci-process" in request.query:
                return _media_info(self._get(key), request.query["ci-process"])
            case "GET" | "HEAD":
                return _serve(request, self._get(key))
            case "DELETE":
                self.objects.pop(key, None)
                return Answer(204)
        raise RefusedRequestError(405, "MethodNotAllowed", "The specified method is not allowed.")

    def _get(self, key: str) -> Stored:
        if key not in self.objects:
            raise RefusedRequestError(404, "NoSuchKey", "The specified key does not exist.")
        return self.objects[key]

    def _put(self, request: Request, key: str) -> Answer:
        if "x-cos-copy-source" in request.headers:
            return self._copy(key, request.headers["x-cos-copy-source"])
        stored = self._receive(request)
        self.objects[key] = stored
        return Answer(200, headers={"ETag": f'"{stored.etag}"'})

    def _copy(self, key: str, source: str) -> Answer:
        # A host with the bucket in it, then the quoted key.
        stored = replace(self._get(unquote(source.partition("/")[2])), modified=time.time())
        self.objects[key] = stored
        return xml_answer(
            f"<CopyObjectResult><ETag>&quot;{stored.etag}&quot;</ETag><LastModified>{_moment(stored.modified)}"
            "</LastModified></CopyObjectResult>"
        )

    def _receive(self, request: Request) -> Stored:
        digest = md5_of(request.body)
        announced = request.headers.get("content-md5", "")
        if announced and base64.b64decode(announced).hex() != digest:
            raise RefusedRequestError(400, "BadDigest", "The Content-MD5 you specified did not match what came.")
        meta = {name: value for name, value in request.headers.items() if name.startswith("x-cos-meta-")}
        stored = Stored(request.body, digest, request.headers.get("content-type", ""), meta=meta)
        request.is_body_kept = True
        return stored

    def _bucket(self, request: Request) -> Answer:
        if request.method == "HEAD":
            return Answer(200)
        if request.method == "POST" and "delete" in request.query:
            return self._delete_many(request)
        if request.method != "GET":
            raise RefusedRequestError(405, "MethodNotAllowed", "The specified method is not allowed.")
        return self._list_uploads(request.query) if "uploads" in request.query else self._list(request.query)

    def _list_uploads(self, asked: dict[str, str]) -> Answer:
        found = [one for one in self.uploads.values() if one.key.startswith(asked.get("prefix", ""))]
        items = "".join(
            f"<Upload><Key>{escape(one.key)}</Key><UploadId>{one.id}</UploadId>"
            f"<StorageClass>STANDARD</StorageClass><Initiated>{_moment(one.begun)}</Initiated></Upload>"
            for one in found
        )
        return xml_answer(
            f"<ListMultipartUploadsResult>{items}<IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
        )

    def _list(self, asked: dict[str, str]) -> Answer:
        prefix, marker, delimiter = (asked.get(name, "") for name in ("prefix", "marker", "delimiter"))
        size, is_encoded = int(asked.get("max-keys", "1000")), asked.get("encoding-type") == "url"

        def show(text: str) -> str:
            return quote(text, safe="/") if is_encoded else escape(text)

        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > marker)
        folders = {}
        if delimiter:
            folders = {key: key[: end + 1] for key in keys if (end := key.find(delimiter, len(prefix))) >= 0}
            keys = [key for key in keys if key not in folders]
        page = "".join(
            f"<Contents><Key>{show(key)}</Key><LastModified>{_moment(self.objects[key].modified)}</LastModified>"
            f"<ETag>&quot;{self.objects[key].etag}&quot;</ETag><Size>{self.objects[key].content.length}</Size>"
            "<Owner><ID>1250000000</ID><DisplayName>1250000000</DisplayName></Owner>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys[:size]
        )
        common = "".join(
            f"<CommonPrefixes><Prefix>{show(each)}</Prefix></CommonPrefixes>" for each in sorted(set(folders.values()))
        )
        more = len(keys) > size
        following = f"<NextMarker>{show(keys[size - 1])}</NextMarker>" if more else ""
        encoding = "<EncodingType>url</EncodingType>" if is_encoded else ""
        return xml_answer(
            f"<ListBucketResult><Name>{self.bucket}</Name>{encoding}<Prefix>{show(prefix)}</Prefix>"
            f"<Marker>{show(marker)}</Marker><MaxKeys>{size}</MaxKeys>{page}{common}"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{following}</ListBucketResult>"
        )

    def _delete_many(self, request: Request) -> Answer:
        content = request.body.read()
        if base64.b64encode(hashlib.md5(content).digest()).decode() != request.headers.get("content-md5"):
            raise RefusedRequestError(400, "BadDigest", "The Content-MD5 is missing or wrong.")
        keys = [node.findtext("{*}Key", "") for node in ET.fromstring(content).findall("{*}Object")]
        for key in keys:
            self.objects.pop(key, None)
        gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        return xml_answer(f"<DeleteResult>{gone}</DeleteResult>")

    def _multipart(self, request: Request, key: str) -> Answer:
        if request.method == "POST" and "uploads" in request.query:
            upload = Upload(key, uuid.uuid4().hex, request.time)
            self.uploads[upload.id] = upload
            return xml_answer(
                f"<InitiateMultipartUploadResult><Key>{escape(key)}</Key><UploadId>{upload.id}</UploadId>"
                "</InitiateMultipartUploadResult>"
            )
        upload = self._upload(request.query.get("uploadId", ""), key)
        match request.method:
            case "PUT":
                return self._put_part(request, upload)
            case "GET":
                return self._list_parts(request, upload)
            case "POST":
                return self._complete(request, upload)
            case "DELETE":
                del self.uploads[upload.id]
                return Answer(204)
        raise RefusedRequestError(405, "MethodNotAllowed", "The specified method is not allowed.")

    def _upload(self, upload_id: str, key: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise RefusedRequestError(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        return upload

    def _put_part(self, request: Request, upload: Upload) -> Answer:
        number = request.query.get("partNumber", "")
        if not number.isdecimal() or not 1 <= int(number) <= MOST_PARTS:
            raise RefusedRequestError(400, "InvalidArgument", "partNumber is wrong.")
        part = self._receive(request)
        upload.parts[int(number)] = part
        return Answer(200, headers={"ETag": f'"{part.etag}"'})

    def _list_parts(self, request: Request, upload: Upload) -> Answer:
        size, marker = int(request.query.get("max-parts", "1000")), int(request.query.get("part-number-marker", "0"))
        numbers = sorted(number for number in upload.parts if number > marker)
        page = numbers[: min(size, 1000)]
        items = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>&quot;{upload.parts[number].etag}&quot;</ETag>"
            f"<Size>{upload.parts[number].content.length}</Size></Part>"
            for number in page
        )
        more = len(numbers) > len(page)
        following = f"<NextPartNumberMarker>{page[-1]}</NextPartNumberMarker>" if more else ""
        return xml_answer(
            f"<ListPartsResult>{items}<IsTruncated>{str(more).lower()}</IsTruncated>{following}</ListPartsResult>"
        )

    def _complete(self, request: Request, upload: Upload) -> Answer:
        asked = self._asked_parts(request)
        if self.completions_to_fail:
            code = self.completions_to_fail.pop(0)
            return xml_answer(f"<Error><Code>{code}</Code><Message>not now</Message><RequestId>c1</RequestId></Error>")
        parts = self._check_parts(upload, asked)
        path = self.folder / f"object-{upload.id}"
        with path.open("wb") as file:
            for part in parts:
                file.writelines(part.content.chunks())
        digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts)).hexdigest()
        stored = Stored(Blob.file(path), f"{digest}-{len(parts)}", "application/octet-stream")
        self.objects[upload.key] = stored
        del self.uploads[upload.id]
        return xml_answer(
            f"\n  <CompleteMultipartUploadResult><Key>{escape(upload.key)}</Key><ETag>&quot;{stored.etag}&quot;</ETag>"
            "</CompleteMultipartUploadResult>"
        )

    def _asked_parts(self, request: Request) -> list[tuple[int, str]]:
        try:
            root = ET.fromstring(request.body.read())
            return [
                (int(node.findtext("{*}PartNumber", "")), node.findtext("{*}ETag", "").strip('"'))
                for node in root.findall("{*}Part")
            ]
        except (ET.ParseError, ValueError) as error:
            raise RefusedRequestError(400, "MalformedXML", "The XML is not well-formed.") from error

    def _check_parts(self, upload: Upload, asked: list[tuple[int, str]]) -> list[Stored]:
        numbers = [number for number, _ in asked]
        if not asked or numbers != sorted(set(numbers)):
            raise RefusedRequestError(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        for number, etag in asked:
            if number not in upload.parts or upload.parts[number].etag != etag:
                raise RefusedRequestError(400, "InvalidPart", "One or more of the parts could not be found.")
        parts = [upload.parts[number] for number in numbers]
        if any(part.content.length < SMALLEST_PART for part in parts[:-1]):
            raise RefusedRequestError(400, "EntityTooSmall", "A part is smaller than 1 MB.")
        return parts


def _serve(request: Request, stored: Stored) -> Answer:
    """Answer a GET or HEAD, under its conditions, with the headers that its query overrides."""
    tag = f'"{stored.etag}"'
    if request.headers.get("if-match", tag) not in (tag, "*"):
        raise RefusedRequestError(412, "PreconditionFailed", "At least one of the preconditions did not hold.")
    if request.headers.get("if-none-match") in (tag, "*"):
        return Answer(304, headers={"ETag": tag})
    kind = stored.content_type or "application/octet-stream"
    answer = serve(request, stored.content, etag=stored.etag, modified=stored.modified, content_type=kind)
    answer.headers.update(stored.meta)
    for name, value in request.query.items():
        if name.startswith("response-"):
            answer.headers[name.removeprefix("response-").title()] = value
    return answer


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _media_info(stored: Stored, process: str) -> Answer:
    if process != "videoinfo":
        raise RefusedRequestError(400, "InvalidArgument", "ci-process is wrong.")
    try:
        info = soundfile.info(io.BytesIO(stored.content.read()))
    except soundfile.LibsndfileError as error:
        raise RefusedRequestError(400, "InvalidContent", "The object is no media.") from error
    stream = (
        f"<Audio><Index>0</Index><CodecName>{info.format.lower()}</CodecName><SampleRate>{info.samplerate}</SampleRate>"
        f"<Channel>{info.channels}</Channel><Duration>{info.duration:.6f}</Duration></Audio>"
    )
    return xml_answer(
        f"<Response><MediaInfo><Format><FormatName>{info.format.lower()}</FormatName><Duration>{info.duration:.6f}"
        f"</Duration><Bitrate>900.0</Bitrate><Size>{stored.content.length}</Size></Format>"
        f"<Stream>{stream}<Subtitle/><Video/></Stream></MediaInfo></Response>"
    )


def md5_of(content: Blob) -> str:
    digest = hashlib.md5()
    for chunk in content.chunks():
        digest.update(chunk)
    return digest.hexdigest()
