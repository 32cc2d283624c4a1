"""What CI checks of a request before it takes a job."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET

from tests.simulators.tencent.errors import RefusedRequestError
from tests.simulators.tencent.separation import PARTS

OUTPUTS = ("Object", "AuObject", "BassObject", "DrumObject")
_RATES = ("8000", "11025", "22050", "32000", "44100", "48000", "96000")
_NOT_RATES = {"aac": ("8000",), "flac": ("8000",), "mp3": ("8000", "96000"), "amr": _RATES[1:]}
_CHANNELS = {"aac": "124568", "flac": "124568", "mp3": "12", "amr": "1"}


@dataclass
class JobRequest:
    """A request that was found good."""

    source: str
    mode: str
    config: dict[str, str]
    template: str
    outputs: dict[str, str]
    user_data: str
    queue: str
    callback: str
    callback_format: str
    fields: dict[str, str] = field(default_factory=dict)


def parse(content: bytes) -> ET.Element:
    try:
        return ET.fromstring(content)
    except ET.ParseError as error:
        raise RefusedRequestError(400, "MalformedXML", "The XML is not well-formed.") from error


def read_job(content: bytes, bucket: str, region: str, templates: dict[str, dict[str, str]]) -> JobRequest:
    """Return what a request asks for.

    Raises:
        RefusedRequestError: something is missing or wrong.
    """
    root = parse(content)
    if root.tag != "Request" or _text(root, "Tag") != "VoiceSeparate":
        raise _bad("Tag")
    if not _text(root, "Input/Object"):
        raise _bad("Input.Object")
    outputs = {name: _text(root, f"Operation/Output/{name}") for name in OUTPUTS}
    if _text(root, "Operation/Output/Bucket") != bucket or _text(root, "Operation/Output/Region") != region:
        raise _bad("Operation.Output")
    if not (outputs["Object"] or outputs["AuObject"]):
        raise _bad("Object and AuObject")
    template = _text(root, "Operation/TemplateId")
    mode, config = _read_how(root, template, templates)
    user_data = _text(root, "Operation/UserData")
    if len(user_data) > 1024 or not (user_data.isascii() and user_data.isprintable()):
        raise _bad("UserData")
    if _text(root, "Operation/JobLevel") not in ("", "0", "1", "2"):
        raise _bad("JobLevel")
    return JobRequest(
        source=_text(root, "Input/Object"),
        mode=mode,
        config=config,
        template=template,
        outputs={name: key for name, key in outputs.items() if key},
        user_data=user_data,
        queue=_text(root, "QueueId"),
        callback=_text(root, "CallBack"),
        callback_format=_text(root, "CallBackFormat") or "XML",
    )


def read_template(content: bytes) -> dict[str, str]:
    """Return a template's fields, flat."""
    root = parse(content)
    if _text(root, "Tag") != "VoiceSeparate" or not re.fullmatch(r"[\w*-]{1,64}", _text(root, "Name")):
        raise _bad("Name")
    mode, config = _text(root, "AudioMode"), _read_config(root.find("AudioConfig"))
    _check_how(mode, config)
    return {"Name": _text(root, "Name"), "AudioMode": mode, **config}


def _read_how(root: ET.Element, template: str, templates: dict[str, dict[str, str]]) -> tuple[str, dict[str, str]]:
    if template:
        if template not in templates:
            raise RefusedRequestError(400, "InvalidArgument", "The template does not exist.")
        found = templates[template]
        return found["AudioMode"], {name: found[name] for name in found if name not in ("Name", "AudioMode")}
    mode = _text(root, "Operation/VoiceSeparate/AudioMode")
    config = _read_config(root.find("Operation/VoiceSeparate/AudioConfig"))
    _check_how(mode, config)
    return mode, config


def _read_config(node: ET.Element | None) -> dict[str, str]:
    return {child.tag: (child.text or "").strip() for child in node} if node is not None else {}


def _check_how(mode: str, config: dict[str, str]) -> None:
    if mode not in PARTS:
        raise _bad("AudioMode")
    codec = config.get("Codec", "aac")
    if mode == "MusicMode":
        if codec not in ("mp3", "wav", "aac"):
            raise _bad("Codec")
        return
    if codec not in _CHANNELS:
        raise _bad("Codec")
    rate = config.get("Samplerate", "44100" if codec != "amr" else "8000")
    if rate not in _RATES or rate in _NOT_RATES[codec]:
        raise _bad("Samplerate")
    if config.get("Channels", _CHANNELS[codec][0]) not in _CHANNELS[codec]:
        raise _bad("Channels")
    if "Bitrate" in config and not (config["Bitrate"].isdecimal() and 8 <= int(config["Bitrate"]) <= 1000):
        raise _bad("Bitrate")


def _bad(name: str) -> RefusedRequestError:
    return RefusedRequestError(400, "InvalidArgument", f"The parameter {name} is wrong.")


def _text(root: ET.Element, path: str) -> str:
    return (root.findtext(path) or "").strip()
