"""Where what is declared lies: alone, for ``beet`` reads one such file at its start and nothing else of the core."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def manifest(name: str) -> Path:
    """Return the path of one file of what is declared rather than coded, ``presets.toml`` for example.

    An installed wheel carries them as ``plugin_core/_manifests``, a checkout as ``manifests/`` beside ``plugin_core/``.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for root in (_PACKAGE / "_manifests", _PACKAGE.parent / "manifests"):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"stembridge is installed incompletely: manifest {name} is missing")
