"""Any S3-compatible bucket, addressed by path: strict about what other services than Amazon's refuse."""

from __future__ import annotations

from tests.simulators.messages import Answer, Request
from tests.simulators.server import Simulator
from tests.simulators.tencent.errors import RefusedRequestError, error_body, xml_answer
from tests.simulators.tencent.objects import ObjectStore

BUCKET = "staging"
ACCESS_KEY = "AKIAsimulated0000000"


class S3Simulator(Simulator):
    """One bucket; a request must name the access key, and carry no checksum that only Amazon knows."""

    def __init__(self) -> None:
        super().__init__(needs_length=True)
        self.store = ObjectStore()

    def start(self) -> None:
        super().start()
        self.store.folder = self.folder

    def respond(self, request: Request) -> Answer:
        with self.lock:
            try:
                return self._answer(request)
            except RefusedRequestError as error:
                return xml_answer(error_body(error, "s3-request", request.path), error.status)

    def _answer(self, request: Request) -> Answer:
        signed = request.headers.get("authorization", "") or request.query.get("X-Amz-Credential", "")
        if ACCESS_KEY not in signed:
            raise RefusedRequestError(403, "InvalidAccessKeyId", "The access key does not exist.")
        odd = [name for name in request.headers if "checksum" in name or name == "x-amz-trailer"]
        if odd:
            raise RefusedRequestError(400, "MissingContentLength", f"{odd[0]} is not known here.")
        bucket, _, key = request.path[1:].partition("/")
        if bucket != BUCKET:
            raise RefusedRequestError(404, "NoSuchBucket", "The bucket does not exist.")
        request.__dict__["path"] = f"/{key}"
        return self.store.respond(request)
