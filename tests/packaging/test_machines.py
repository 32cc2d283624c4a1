"""What ``manifests/machines`` says is true: unit, compose file and page name commands and settings that there are."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from plugin_core.cli.app import build_app
from plugin_core.jobs.policy import JobsSettings, Policy
from plugin_core.settings import Settings
from plugin_core.stores import read_paths

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "manifests" / "machines"
PAGE = (FOLDER / "README.md").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def parse(words: list[str]) -> None:
    """Let the command line read words, as far as nothing is done."""
    group: click.Command = build_app()
    while isinstance(group, click.Group) and words:
        found = group.get_command(click.Context(group), words[0])
        assert found is not None, words
        group, words = found, words[1:]
    with click.Context(group) as context:
        group.make_parser(context).parse_args(words)


@pytest.mark.parametrize("line", sorted(set(re.findall(r"`(?:stembridge|\.\.\.) ([a-z][^`]*)`", PAGE))))
def test_each_command_of_the_page_is_one(line: str) -> None:
    # "... migrate sqlite" is said beside the whole of it.
    words = shlex.split(line)
    parse(["jobs", *words] if words[0] == "migrate" else words)


def test_the_settings_of_the_page_load_where_its_folders_are(tmp_path: Path) -> None:
    (block,) = re.findall(r"\n\n((?:       .*\n|\n)+)", PAGE)
    text = block.replace("/mnt/nas", str(tmp_path))
    for name in ("music", "stembridge"):
        (tmp_path / name).mkdir()
    (tmp_path / "config.toml").write_text("\n".join(line.strip() for line in text.splitlines()))
    (tmp_path / "config.toml").chmod(0o600)
    settings = Settings(tmp_path, environ={})
    assert settings.section("jobs", JobsSettings).database.reveal().startswith("postgresql://")
    assert read_paths(settings, is_shared=True).names == ("music", "staging")


def test_the_unit_starts_a_worker_and_gives_it_time_to_end() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(FOLDER / "stembridge-worker.service")
    service = unit["Service"]
    program, name, *words = shlex.split(service["ExecStart"])
    assert (program, name, service["Restart"]) == ("/usr/bin/env", "stembridge", "always")
    parse(words)
    assert float(service["TimeoutStopSec"]) > Policy().grace + Policy().stop_within
    assert f"STEMBRIDGE_HOME=/var/lib/{service['StateDirectory']}" in service["Environment"].split()
    if (analyze := shutil.which("systemd-analyze")) is not None:
        command = [analyze, "verify", "--man=no", str(FOLDER / "stembridge-worker.service")]
        said = subprocess.run(command, capture_output=True, text=True)
        # It also speaks of units that this one waits for, which are the machine's.
        assert [line for line in said.stderr.splitlines() if "stembridge-worker" in line] == []


def test_the_compose_file_makes_settings_that_load_and_starts_a_worker(tmp_path: Path) -> None:
    whole: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    worker, database = whole["services"]["worker"], whole["services"]["database"]
    assert set(worker["depends_on"]) <= set(whole["services"]) and database["healthcheck"]["test"][0] == "CMD-SHELL"
    assert set(worker["secrets"]) | set(database["secrets"]) == set(whole["secrets"])
    assert {volume.partition(":")[0] for volume in database["volumes"]} == set(whole["volumes"])
    shell, flag, script = worker["command"]
    assert (shell, flag) == ("sh", "-c")
    # What lies in a container lies in a folder of the test, and who would be started tells of it.
    for place in ("/home", "/srv", "/run/secrets"):
        script = script.replace(place, f"{tmp_path}{place}")
    (tmp_path / "bin").mkdir()
    for made in ("home/stembridge", "srv/music", "srv/staging", "run/secrets"):
        (tmp_path / made).mkdir(parents=True)
    (tmp_path / "run/secrets/database").write_text("hush\n")
    tell = f'#!/bin/sh\nprintf "%s\\n" "$(basename "$0") $*" "$STEMBRIDGE_JOBS_DATABASE" >> "{tmp_path}/told"\n'
    (tmp_path / "bin" / "stembridge").write_text(tell)
    (tmp_path / "bin" / "stembridge").chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    subprocess.run([shell, flag, script.replace("$$", "$")], env=environ, check=True)
    started, address = (tmp_path / "told").read_text().splitlines()
    (extra,) = re.findall(r"pip install .*'stembridge\[(\w+)\]'", worker["build"]["dockerfile_inline"])
    assert extra in EXTRAS
    assert started.split()[0] == "stembridge"
    parse(started.split()[1:])
    user, host = database["environment"]["POSTGRES_USER"], "database"
    assert address == f"postgresql://{user}:hush@{host}/{database['environment']['POSTGRES_DB']}"
    settings = Settings(tmp_path / "home" / "stembridge", environ={"STEMBRIDGE_JOBS_DATABASE": address})
    paths = read_paths(settings, is_shared=True)
    targets = {volume.rpartition(":")[2] for volume in worker["volumes"]}
    assert targets == {"/srv/music", "/srv/staging"} and paths.names == ("music", "staging")
    assert settings.section("jobs", JobsSettings).database.reveal() == address
    # Who asks on the same machine reaches the same database, and nobody else does.
    (told,) = re.findall(r'database = "(postgresql://[^"]*)"', (FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    assert told == address.replace(":hush@", ":PASSWORD@").replace("@database/", "@127.0.0.1/")
    assert database["ports"] == ["127.0.0.1:5432:5432"]
