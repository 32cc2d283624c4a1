"""What the simulated source separation checks and makes, and the many ways in which it may say so.

The parts of a song sum to it exactly. ``StemMaker`` answers in one of ``FORMS``, names files in one of ``NAMES`` and
stems in one of ``TONES``; real clients of the vendor's use the first of each.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import soundfile

from tests.simulators.blobs import Blob
from tests.simulators.messages import Answer, Request, text_answer
from tests.simulators.mvsep.media import decode
from tests.simulators.mvsep.splitting import split

CONTENT_ID = "8c39e8b5-simulated"
METHODS = {
    1: ("vocals", "accompaniment"),
    2: ("vocals", "drums", "bass", "accompaniment"),
    3: ("vocals", "drums", "bass", "piano", "accompaniment"),
}
FORMS = ("theirs", "spelt", "misspelt", "nested", "wrapped", "snake")
NAMES = ("relative", "slashed", "whole", "whole-slashed", "bare", "unprefixed", "url", "signed", "elsewhere")
TONES = ("numbers", "digits", "english", "upper", "chinese", "unknown", "missing")

_NUMBERS = {"vocals": 1, "drums": 2, "bass": 3, "piano": 4, "accompaniment": 5}
_CHINESE = {"vocals": "人声", "drums": "鼓点", "bass": "贝斯", "piano": "钢琴", "accompaniment": "伴奏"}
_STEP = 2.0**-15

Put = Callable[[str, Blob], object]


@dataclass
class StemMaker:
    """The separation of one account.

    Args:
        put: puts an object into the bucket that is registered.
        form: of the answer.
        names: of the files.
        tones: how stems are called.
        lost: stems that are named and not there.
        extra: results that are named besides.
    """

    put: Put | None = None
    form: str = "theirs"
    names: str = "relative"
    tones: str = "numbers"
    content_id: str = CONTENT_ID
    lost: set[str] = field(default_factory=set)
    extra: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, Blob] = field(default_factory=dict)
    """What is behind signed links of the service's own, by path."""
    signature: str = field(default_factory=lambda: secrets.token_hex(16))

    def separate(self, song: bytes, output: dict[str, Any], origin: str) -> list[dict[str, Any]]:
        """Make the stems, put them into the bucket, and return the results."""
        asked = output["smartContentDescriptor"]
        samples, rate = decode(Blob.of(song))
        stems = METHODS[asked["musicSeperate"]["method"]]
        parts = split(samples, rate, list(stems), _STEP)
        folder = output["destination"].strip("/")
        found = []
        for stem in stems:
            file = io.BytesIO()
            soundfile.write(file, parts[stem], rate, format="WAV", subtype="PCM_16")
            content = Blob.of(file.getvalue())
            prefix = "" if self.names == "unprefixed" else asked["outputPrefix"]
            name = self._keep(stem, folder, prefix, content, origin)
            found.append({"fileName": name} | self._tone(stem))
        return found + self.extra

    def _keep(self, stem: str, folder: str, prefix: str, content: Blob, origin: str) -> str:
        """Put one stem where it belongs and return what it is called."""
        file = f"{prefix}_{stem}.wav" if prefix else f"{stem}.wav"
        key = f"{folder}/{file}" if folder else file
        if self.names == "elsewhere":
            key = f"mediax/results/{file}"
        if self.names == "signed":
            self.files[f"/files/{file}"] = content
        elif stem not in self.lost:
            assert self.put is not None
            self.put(key, content)
        return {
            "slashed": f"/{file}",
            "whole": key,
            "whole-slashed": f"/{key}",
            "elsewhere": key,
            "bare": f"_{stem}.wav",
            "url": f"https://songs.cos.example.com/{quote(key)}",
            "signed": f"{origin}/files/{file}?expires=99&ticket={self.signature}",
        }.get(self.names, file)

    def _tone(self, stem: str) -> dict[str, Any]:
        match self.tones:
            case "missing":
                return {}
            case "numbers":
                return {"tone": _NUMBERS[stem]}
            case "digits":
                return {"tone": str(_NUMBERS[stem])}
            case "chinese":
                return {"tone": _CHINESE[stem]}
            case "unknown":
                return {"tone": 17}
        return {"tone": stem.upper() if self.tones == "upper" else stem}

    def wrap(self, results: list[dict[str, Any]]) -> dict[str, Any]:
        """Spell an answer."""
        match self.form:
            case "nested":
                return {"musicSeperate": {"musicSeperate": results}}
            case "wrapped":
                return {"musicSeperate": {"stems": {"list": results}}}
            case "snake":
                return {
                    "music_separate": [
                        {"file_name" if k == "fileName" else k: v for k, v in r.items()} for r in results
                    ]
                }
        return {{"spelt": "musicSeparate", "misspelt": "musigSeperate"}.get(self.form, "musicSeperate"): results}

    def serve(self, request: Request) -> Answer:
        """Answer at a signed link of the service's own."""
        content = self.files.get(request.path)
        if content is None or request.query.get("ticket") != self.signature:
            return text_answer("no such file", 404)
        return Answer(200, content, {"Content-Type": "audio/wav"})


def check_separation(output: dict[str, Any], content_id: str) -> str:
    """Return what is wrong about an output that asks for stems; "" for nothing."""
    asked = output["smartContentDescriptor"]
    unknown = set(asked) - {"musicSeperate", "outputPrefix"} | set(output) - _OUTPUT
    if unknown:
        return f"unknown field {min(unknown)}"
    if set(asked["musicSeperate"]) != {"method"} or asked["musicSeperate"]["method"] not in METHODS:
        return "method is wrong"
    if output.get("contentId") != content_id:
        return "contentId is wrong"
    if not isinstance(output.get("destination"), str):
        return "destination is missing"
    if not 0 < len(asked.get("outputPrefix", "")) < 20:
        return "outputPrefix must have fewer than 20 characters"
    return ""


_OUTPUT = {"contentId", "destination", "inputSelectors", "smartContentDescriptor"}
