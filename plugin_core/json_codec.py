"""Nouns as JSON, and back: paths may have names that are no text."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def encode_path(value: object) -> object:
    """Turn a path into text for JSON (msgspec ``enc_hook``); names that are not UTF-8 become ``bytes:<hex>``."""
    if isinstance(value, Path):
        try:
            return str(value).encode().decode()
        except UnicodeEncodeError:
            return "bytes:" + str(value).encode("utf-8", "surrogateescape").hex()
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def decode_path(kind: type, value: object) -> object:
    """Turn JSON text back into a path (msgspec ``dec_hook``)."""
    if issubclass(kind, Path) and isinstance(value, str):
        is_hex = value.startswith("bytes:")
        return Path(bytes.fromhex(value[6:]).decode("utf-8", "surrogateescape") if is_hex else value)
    raise NotImplementedError(f"no value of {kind.__name__} from JSON {value!r}")


def to_json(value: object, enc_hook: Callable[[object], object] = encode_path) -> bytes:
    """Encode any of these nouns, or a plain value holding them, as JSON."""
    return msgspec.json.encode(value, enc_hook=enc_hook)


def from_json(data: bytes | str, kind: type[T], dec_hook: Callable[[type, object], object] = decode_path) -> T:
    """Decode what ``to_json`` wrote."""
    return _decoder(kind, dec_hook).decode(data)


def _decoder(kind: type[T], dec_hook: Callable[[type, object], object]) -> msgspec.json.Decoder[T]:
    """Return the decoder of a type, worked out once: msgspec crashes when two threads do that at the same time."""
    with _DECODING:
        if (kind, dec_hook) not in _DECODERS:
            _DECODERS[kind, dec_hook] = msgspec.json.Decoder(kind, dec_hook=dec_hook)
        return _DECODERS[kind, dec_hook]


_DECODERS: dict[tuple[type, object], msgspec.json.Decoder[Any]] = {}
_DECODING = threading.Lock()
