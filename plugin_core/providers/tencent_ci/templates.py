"""Templates of CI: the parameters of a VoiceSeparate job under an id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from plugin_core.providers.tencent_ci.documents import nodes_of, text_of, write_xml
from plugin_core.providers.tencent_ci.jobs import TAG
from plugin_core.providers.tencent_ci.rules import AudioConfig, check_template_name, find_mode, template_config


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


def make_template(name: str, mode: str, options: Mapping[str, str]) -> Template:
    """Return a template that the service will take.

    Args:
        name: the user's.
        mode: an AudioMode, in any case.
        options: codec, samplerate, bitrate, channels; those that are not said are the service's choice, but the codec.

    Raises:
        UsageError: it would not.
    """
    check_template_name(name)
    mode = find_mode(mode, "mode")
    return Template(name=name, mode=mode, config=template_config(mode, options))


def change_template(template: Template, name: str | None, mode: str | None, options: Mapping[str, str]) -> Template:
    """Return a template with what was said changed; another mode or codec begins the encoding anew.

    Raises:
        UsageError: the service would not take it.
    """
    if name is not None:
        check_template_name(name)
        template = msgspec.structs.replace(template, name=name)
    if mode is None and not options:
        return template
    wanted = find_mode(template.mode if mode is None else mode, "mode")
    codec = options.get("codec", template.config.codec).lower()
    is_anew = wanted != template.mode or codec != template.config.codec
    kept = {} if is_anew else {key: value for key, value in msgspec.structs.asdict(template.config).items() if value}
    return msgspec.structs.replace(template, mode=wanted, config=template_config(wanted, kept | dict(options)))


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
