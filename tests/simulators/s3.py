"""Any S3-compatible bucket, addressed by path: strict about signatures and what other services than Amazon's refuse."""

from __future__ import annotations

from tests.simulators.messages import Answer, Request
from tests.simulators.server import Simulator
from tests.simulators.sigv4 import Keys, verify
from tests.simulators.tencent.errors import RefusedRequestError, error_body, xml_answer
from tests.simulators.tencent.objects import ObjectStore

BUCKET = "staging"
REGION = "eu-central-1"
ACCESS_KEY = "AKIAsimulated0000000"
SECRET_KEY = "simulated/S3+secret=key0000000000000"


class S3Simulator(Simulator):
    """One bucket; a request must be signed for it, and carry no checksum that only Amazon knows.

    Attributes:
        keys: the only ones that are accepted.
        page: how many names a list has at most.
    """

    def __init__(self) -> None:
        super().__init__(needs_length=True)
        self.keys = Keys(ACCESS_KEY, SECRET_KEY, REGION)
        self.store = ObjectStore()
        self.page = 1000

    def start(self) -> None:
        super().start()
        self.store.folder = self.folder

    def environment(self) -> dict[str, str]:
        """Return the variables with which stembridge uses this bucket."""
        return {
            "STEMBRIDGE_S3_BUCKET": BUCKET,
            "STEMBRIDGE_S3_ENDPOINT_URL": self.url,
            "STEMBRIDGE_S3_REGION": REGION,
            "STEMBRIDGE_S3_ACCESS_KEY_ID": self.keys.access_key,
            "STEMBRIDGE_S3_SECRET_ACCESS_KEY": self.keys.secret_key,
            "STEMBRIDGE_S3_ADDRESSING": "path",
        }

    def respond(self, request: Request) -> Answer:
        with self.lock:
            try:
                return self._answer(request)
            except RefusedRequestError as error:
                return xml_answer(error_body(error, "s3-request", request.path), error.status)

    def _answer(self, request: Request) -> Answer:
        odd = [name for name in request.headers if "checksum" in name or name == "x-amz-trailer"]
        if odd:
            raise RefusedRequestError(400, "MissingContentLength", f"{odd[0]} is not known here.")
        verify(request, self.keys, self.clock())
        bucket, _, key = request.path[1:].partition("/")
        if bucket != BUCKET:
            raise RefusedRequestError(404, "NoSuchBucket", "The bucket does not exist.")
        request.__dict__["path"] = f"/{key}"
        return self._list(request) if "list-type" in request.query else self.store.respond(request)

    def _list(self, request: Request) -> Answer:
        """Answer the second version of a list: what COS calls a marker has another name, and is no key."""
        asked = request.query
        token = asked.get("continuation-token", "")
        if asked["list-type"] != "2" or token[:1] not in ("", "~"):
            raise RefusedRequestError(400, "InvalidArgument", "The continuation token provided is incorrect.")
        size = str(min(self.page, int(asked.get("max-keys", "1000"))))
        request.__dict__["query"] = {**asked, "marker": token[1:], "max-keys": size}
        answer = self.store.respond(request)
        text = answer.body.read().decode().replace("<NextMarker>", "<NextContinuationToken>~")
        return xml_answer(text.replace("</NextMarker>", "</NextContinuationToken>"))
