"""What is declared rather than coded: presets, catalogues and host files.

An installed wheel carries them as ``plugin_core/_manifests``, a checkout as ``manifests/`` beside ``plugin_core/``.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def manifest(name: str) -> Path:
    """Return the path of one manifest, ``presets.toml`` for example.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for root in (_PACKAGE / "_manifests", _PACKAGE.parent / "manifests"):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"stembridge is installed incompletely: manifest {name} is missing")
