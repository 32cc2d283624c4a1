"""Whether what a plugin registers keeps the promises of its protocol."""

from __future__ import annotations

from collections.abc import Iterator


def find_broken(thing: object, protocol: type) -> str:
    """Say which promise of a protocol is not kept, by what is missing; "" when all are."""
    if isinstance(thing, type):
        return f"{thing.__name__} is a class, and an instance of it must be registered"
    missing = [_describe(name, promised) for name, promised in _promises(protocol) if _lacks(thing, name, promised)]
    name = getattr(thing, "name", type(thing).__name__)
    return f"{name!r} is no {protocol.__name__}: it has no {', no '.join(missing)}" if missing else ""


def _promises(protocol: type) -> Iterator[tuple[str, object]]:
    """Return every member by name, those of the widest protocol first."""
    for base in reversed(protocol.__mro__):
        if getattr(base, "_is_protocol", False):
            yield from ((name, member) for name, member in vars(base).items() if not name.startswith("_"))


def _lacks(thing: object, name: str, promised: object) -> bool:
    return not hasattr(thing, name) or (callable(promised) and not callable(getattr(thing, name)))


def _describe(name: str, promised: object) -> str:
    return f"method {name}()" if callable(promised) else f"attribute {name}"
