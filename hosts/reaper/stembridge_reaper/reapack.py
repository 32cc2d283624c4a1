"""The files in ``manifests/hosts/reaper`` that are made from the scripts: the list of actions and the ReaPack index.

``python -m stembridge_reaper.reapack [--base-url URL] [--publish SCRIPTS] [FOLDER]`` writes them, and into SCRIPTS what
lies at the URL; a test checks that they are up to date.
ReaPack brings the scripts alone, so ``stembridge reaper install`` is still needed once for the rest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from plugin_core import __version__
from stembridge_reaper.install.actions import (
    AUTHOR,
    CATEGORY,
    CONFIGURATION,
    SUFFIXES,
    package_files,
    shipped_actions,
)

RELEASED = "2026-11-29T00:00:00Z"
"""Time of the version that the scripts name: ReaPack shows it, and orders by it."""

BASE_URL = "https://stembridge.example/reaper"
"""Stands for wherever the scripts are published; ReaPack wants absolute addresses."""

_ABOUT = "Splits the files of selected items into stems on tracks below their own, and labels them in their own tags."


def build_actions() -> str:
    """Return the shipped actions and their ids as JSON; the ids are constant, so key maps can be shared."""
    actions = [
        {"id": action.id, "launcher": launcher, "path": action.path, "title": action.title}
        for launcher in SUFFIXES
        for action in shipped_actions(launcher)
    ]
    return json.dumps({"version": 1, "configuration": CONFIGURATION, "actions": actions}, indent=2) + "\n"


def build_index(base_url: str = BASE_URL) -> str:
    """Return the ReaPack index, version 1, as XML."""
    main, shared = _scripts()
    sources = [_source(base_url, name, content, "main") for name, content in main.items()]
    sources += [_source(base_url, name, content) for name, content in shared.items()]
    return f"""<?xml version="1.0" encoding="utf-8"?>
<index version="1" name="stembridge">
  <category name={quoteattr(CATEGORY)}>
    <reapack name="stembridge.lua" type="script" desc="stembridge: separate and label selected items">
      <metadata><description><![CDATA[{_rtf(_ABOUT)}]]></description></metadata>
      <version name={quoteattr(__version__)} author={quoteattr(AUTHOR)} time="{RELEASED}">
{chr(10).join(sources)}
      </version>
    </reapack>
  </category>
</index>
"""


def write_manifests(folder: Path, base_url: str = BASE_URL) -> None:
    """Write both files into a folder."""
    (folder / "actions.json").write_text(build_actions(), encoding="ascii", newline="\n")
    (folder / "index.xml").write_text(build_index(base_url), encoding="utf-8", newline="\n")


def write_scripts(folder: Path) -> None:
    """Write what the index names into the folder that is published."""
    main, shared = _scripts()
    for name, content in (main | shared).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _scripts() -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the scripts of the actions, and the modules that they share, by their paths."""
    return {one.file: one.source.encode("ascii") for one in shipped_actions("lua")}, package_files("lua")


def _source(base_url: str, name: str, content: bytes, main: str = "") -> str:
    digest = "1220" + hashlib.sha256(content).hexdigest()
    attributes = f' main="{main}"' if main else ""
    return f'        <source{attributes} file={quoteattr(name)} hash="{digest}">{escape(f"{base_url}/{name}")}</source>'


def _rtf(text: str) -> str:
    return rf"{{\rtf1\ansi {text}}}"


def main() -> None:
    """Write the files from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--base-url", default=BASE_URL)
    parser.add_argument("--publish", type=Path, metavar="SCRIPTS")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("manifests/hosts/reaper"))
    arguments = parser.parse_args()
    write_manifests(arguments.folder, arguments.base_url)
    if arguments.publish is not None:
        write_scripts(arguments.publish)


if __name__ == "__main__":
    main()
