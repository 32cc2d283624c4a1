"""XML as COS and CI speak it: read without document types or entities, written without empty nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from xml.parsers.expat import ExpatError

import xmltodict

from plugin_core.errors import ServiceError

LARGEST: Final = 16 << 20
"""Bytes an XML answer may have; a page of a hundred jobs has far less than one million."""

_LISTS: Final = (
    "JobsDetail",
    "ObjectName",
    "Md5Info",
    "Audio",
    "Video",
    "Subtitle",
    "CosHeaders",
    "NonExistJobIds",
    "TemplateList",
    "Part",
    "Upload",
    "Contents",
    "AsrBucketList",
    "MediaBucketList",
)
"""Nodes that may come once or many times, and are lists either way."""


def read_xml(content: bytes, what: str, root: str = "") -> dict[str, Any]:
    """Return the document below its root node.

    Args:
        content: what the service sent.
        what: whose answer it is, for the message.
        root: name the root must have; "" for any but that of a web page.

    Raises:
        ServiceError: it is no XML, too large, something else than expected, or holds a document type or entities.
    """
    if len(content) > LARGEST:
        raise ServiceError(f"{what}: an answer of {len(content) >> 20} MiB is no answer")
    # In an encoding of two or four bytes a declaration would not be seen; the services write UTF-8.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\0" in content:
        raise ServiceError(f"{what}: the answer declares a document type or is no UTF-8, which is not believed")
    try:
        # While it still works, COS may send white space ahead of its answer.
        document = xmltodict.parse(content.strip(), force_list=_LISTS, disable_entities=True)
    except (ExpatError, ValueError, LookupError, RecursionError) as error:
        raise ServiceError(f"{what}: the answer is no XML") from error
    name, below = next(iter(document.items()))
    if name.lower() == "html" or (root and name != root):
        raise ServiceError(f"{what}: the answer is {name!r:.40} and not what was asked for")
    return below if isinstance(below, dict) else {}


def write_xml(root: str, nodes: Mapping[str, Any]) -> bytes:
    """Return a document; nodes that hold nothing are left out."""
    text = xmltodict.unparse({root: _filled(nodes)}, full_document=False)
    return str(text).encode()


def _filled(nodes: Mapping[str, Any]) -> dict[str, Any]:
    filled = {name: _filled(value) if isinstance(value, Mapping) else value for name, value in nodes.items()}
    return {name: value for name, value in filled.items() if value not in (None, "", {}, [])}


def text_of(node: object) -> str:
    """Return a node's text; "" for one that is absent, empty or no text."""
    return node.strip() if isinstance(node, str) else ""


def nodes_of(parent: object, *path: str) -> list[dict[str, Any]]:
    """Return every node with content at a path, whether it came once, often or never."""
    node: object = parent
    for name in path:
        node = node.get(name) if isinstance(node, Mapping) else None
    each = node if isinstance(node, list) else [node]
    return [one for one in each if isinstance(one, dict)]
