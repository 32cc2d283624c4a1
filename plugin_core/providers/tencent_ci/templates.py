"""Templates of CI: the parameters of a VoiceSeparate job under an id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from plugin_core.providers.tencent_ci.documents import nodes_of, text_of, write_xml
from plugin_core.providers.tencent_ci.jobs import TAG
from plugin_core.providers.tencent_ci.rules import AudioConfig


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One template; the id is "" until the service gives one."""

    name: str
    mode: str
    config: AudioConfig
    id: str = ""
    category: str = ""
    """``Custom`` or ``Official``."""
    created: str = ""
    updated: str = ""

    def to_xml(self) -> bytes:
        """Return the body that creates or replaces it."""
        return write_xml(
            "Request", {"Tag": TAG, "Name": self.name, "AudioMode": self.mode, "AudioConfig": self.config.nodes()}
        )


def read_templates(document: Mapping[str, Any]) -> tuple[Template, ...]:
    """Read an answer that holds one template, or a list of them; those of other jobs are left out."""
    nodes = nodes_of(document, "Template") + nodes_of(document, "TemplateList")
    return tuple(_read(node) for node in nodes if text_of(node.get("Tag")) in ("", TAG))


def _read(node: Mapping[str, Any]) -> Template:
    what = next(iter(nodes_of(node, TAG)), {})
    config = next(iter(nodes_of(what, "AudioConfig")), {})
    return Template(
        id=text_of(node.get("TemplateId")),
        name=text_of(node.get("Name")),
        mode=text_of(what.get("AudioMode")),
        config=AudioConfig(
            codec=text_of(config.get("Codec")),
            samplerate=text_of(config.get("Samplerate")),
            bitrate=text_of(config.get("Bitrate")),
            channels=text_of(config.get("Channels")),
        ),
        category=text_of(node.get("Category")),
        created=text_of(node.get("CreateTime")),
        updated=text_of(node.get("UpdateTime")),
    )
