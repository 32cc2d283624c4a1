"""Refusals in every shape that the service's errors have been seen in."""

from __future__ import annotations

from typing import Any

from tests.simulators.messages import Answer, json_answer


class RefusedError(Exception):
    """A request the service refuses, with its words."""

    def __init__(self, text: str, status: int = 400, family: str = "errors") -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.family = family


def unauthorised(path: str) -> RefusedError:
    """A wrong token: 401 when creating, 400 elsewhere, and differently worded."""
    if path.endswith("separation/create"):
        return RefusedError("Invalid API key", 401, "data")
    return RefusedError("invalid token", 400)


def refusal(text: str, status: int, family: str) -> Answer:
    """Answer with an error of this family."""
    return json_answer({"success": False, **_body(text, family)}, status)


def _body(text: str, family: str) -> dict[str, Any]:
    match family:
        case "errors":
            return {"errors": [text]}
        case "errors_objects":
            return {"errors": [{"message": text}]}
        case "errors_text":
            return {"errors": text}
        case "data":
            return {"data": {"message": text}}
        case "message_objects":
            return {"message": {"sep_type": [text]}}
        case "error":
            return {"error": text}
    return {"message": text}
