"""The wheel, and the editable install these tests run in, hold the same things."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from stembridge_reaper.reapack import BASE_URL

import plugin_core
from plugin_core.manifests import manifest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from this checkout and unpack it, as an installer would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run_in(site: Path, code: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(site)}
    # -S keeps the editable install of this checkout out; the dependencies are added by hand.
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    lines = f"import sys; sys.path += {dependencies!r}\n{code}"
    done = subprocess.run(
        [sys.executable, "-S", "-c", lines], cwd=site, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_wheel_imports_from_itself_and_finds_its_manifests(wheel: Path) -> None:
    code = "import plugin_core\nfrom plugin_core.manifests import manifest\n"
    code += "print(plugin_core.__file__, manifest('presets.toml'))"
    assert run_in(wheel, code).split() == [
        str(wheel / "plugin_core" / "__init__.py"),
        str(wheel / "plugin_core" / "_manifests" / "presets.toml"),
    ]


def test_wheel_carries_every_module_and_manifest(wheel: Path) -> None:
    def names(root: Path) -> set[str]:
        found = (p for p in root.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
        return {str(path.relative_to(root)) for path in found}

    carried = names(wheel / "plugin_core")
    assert names(ROOT / "plugin_core") <= carried
    assert {"network.f16", "network.toml"} <= {Path(name).name for name in carried}
    assert {f"_manifests/{name}" for name in names(ROOT / "manifests")} <= carried
    assert "py.typed" in carried


def test_wheel_leaves_tests_and_project_files_out(wheel: Path) -> None:
    hosts = {folder.name for host in (ROOT / "hosts").iterdir() for folder in host.iterdir() if folder.is_dir()}
    packages = {name for name in hosts if not name.startswith((".", "_"))} | {"plugin_core"}
    assert {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")} == packages


def test_entry_points_name_modules_that_import(wheel: Path) -> None:
    (path,) = wheel.glob("*.dist-info/entry_points.txt")
    points = configparser.ConfigParser(delimiters=("=",))
    points.read(path)
    modules = [*points["stembridge"].values(), *(v.split(":")[0] for v in points["console_scripts"].values())]
    run_in(wheel, "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in modules))


def test_licence_is_in_the_wheel(wheel: Path) -> None:
    assert list(wheel.glob("*.dist-info/licenses/LICENSE"))


def test_everything_public_lies_at_one_address(wheel: Path) -> None:
    (about,) = wheel.glob("*.dist-info/METADATA")
    lines = [line.removeprefix("Project-URL: ") for line in about.read_text("utf-8").splitlines() if "-URL: " in line]
    urls = dict(line.split(", ") for line in lines)
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= urls.keys()
    assert all(url.startswith(urls["Homepage"]) for url in [*urls.values(), BASE_URL])


def test_editable_install_reads_the_checkout() -> None:
    assert manifest("presets.toml").is_file()
    assert metadata.version("stembridge") == plugin_core.__version__


def test_dependencies_have_lower_bounds_only() -> None:
    requirements = metadata.requires("stembridge") or []
    assert requirements
    assert [line for line in requirements if "<" in line.split(";")[0] or "==" in line.split(";")[0]] == []
