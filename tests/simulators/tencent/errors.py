"""Refusals as the services write them."""

from __future__ import annotations

from xml.sax.saxutils import escape

from tests.simulators.messages import Answer, text_answer


class RefusedRequestError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def error_body(error: RefusedRequestError, request_id: str, resource: str = "") -> str:
    """Return the XML; COS names the resource, CI does not."""
    where = f"<Resource>{escape(resource)}</Resource>" if resource else ""
    return (
        f"<?xml version='1.0' encoding='utf-8' ?>\n<Error>\n\t<Code>{error.code}</Code>\n"
        f"\t<Message>{escape(error.message)}</Message>\n\t{where}\n\t<RequestId>{request_id}</RequestId>\n"
        f"\t<TraceId>trace-{request_id}</TraceId>\n</Error>\n"
    )


def xml_answer(text: str, status: int = 200, **headers: str) -> Answer:
    answer = text_answer(text, status, "application/xml")
    answer.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return answer
