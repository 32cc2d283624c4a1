from __future__ import annotations

import hashlib
import json
from pathlib import Path
from xml.etree import ElementTree as ET

from stembridge_reaper.install.actions import SOURCES, action_id
from stembridge_reaper.reapack import RELEASED, build_index, write_manifests, write_scripts

from plugin_core.manifests import manifest


def test_manifests_are_up_to_date(tmp_path: Path) -> None:
    write_manifests(tmp_path)
    for name in ("actions.json", "index.xml"):
        assert manifest(f"hosts/reaper/{name}").read_bytes() == (tmp_path / name).read_bytes(), (
            "run python -m stembridge_reaper.reapack"
        )


def test_index_lists_every_file_with_its_hash(tmp_path: Path) -> None:
    write_scripts(tmp_path)
    root = ET.fromstring(build_index("https://host.example/x"))
    assert (root.tag, root.get("version"), root.get("name")) == ("index", "1", "stembridge")
    (package,) = root.iter("reapack")
    (version,) = root.iter("version")
    assert (package.get("name"), version.get("time")) == ("stembridge.lua", RELEASED)
    sources = list(root.iter("source"))
    files = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*.lua")}
    assert {name for name in files if "/" in name} == {
        path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.lua")
    }
    assert {source.get("file") for source in sources} == set(files)
    for source in sources:
        name = source.get("file") or ""
        assert source.text == f"https://host.example/x/{name}"
        assert source.get("hash") == "1220" + hashlib.sha256(files[name].read_bytes()).hexdigest()
        assert (source.get("main") == "main") == ("/" not in name)


def test_ids_follow_the_documented_hash() -> None:
    assert action_id("STEMS/separate.py") == "RS" + hashlib.sha1(b"STEMS/SEPARATE.PY").hexdigest()
    listed = json.loads(manifest("hosts/reaper/actions.json").read_bytes())["actions"]
    assert {one["id"] for one in listed} == {action_id(one["path"]) for one in listed}
    assert {one["title"] for one in listed} >= {
        "Separate selected items (choose preset...)",
        "Separate selected items (last preset)",
        "Label selected items' files",
        "Show jobs",
        "Cancel jobs",
        "Insert finished stems",
    }
