"""What the Tab key puts in: asked of the function, of real bash, zsh and fish, and of what --install leaves behind."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import cast

import pytest

from plugin_core.cli import completion
from plugin_core.cli.commands.completion import SCRIPTS, Place, draw_outline
from plugin_core.cli.completion import Tree, _for_bash, complete, split
from plugin_core.console.context import Context
from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState
from plugin_core.plugins import load_plugins
from plugin_core.session import STORE_NAME
from plugin_core.settings import Settings
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakePoint, load_fakes
from tests.plugin_core.cli.jobs import make_job
from tests.plugin_core.cli.test_app import Adding

ROOT = Path(__file__).parents[3]
CONFIG = '[presets."my own"]\ntitle = "Mine"\noperations = [{ kind = "separation" }]\n'


@pytest.fixture
def outline(home: Path) -> Tree:
    return draw_outline(Context(Settings(home), load_plugins()))


def words_of(outline: Tree, line: str) -> list[str]:
    return [word for word, _ in complete(outline, split(line)[0])[1]]


def kind_of(outline: Tree, line: str) -> str:
    return complete(outline, split(line)[0])[0]


def store_job(home: Path) -> str:
    job = make_job(JobState.FAILED, job_id="0192aaaa-1111-7000-8000-000000000000")
    with JobStore(home / STORE_NAME) as store:
        store.add(job)
    return job.id


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("sep", ["separate"]),
        ("jobs re", ["resume", "retry"]),
        ("jobs --json re", ["resume", "retry"]),
        ("tencent templates cr", ["create"]),
        ("separate --pro", ["--provider", "--project"]),
        ("separate --provider l", ["local"]),
        ("separate --provider=l", ["--provider=local"]),
        ("separate Song.flac --format flac1", ["flac16"]),
        ("separate --stems vocals,dr", ["vocals,drums"]),
        ("separate --stems vocals,vo", []),
        ("separate --project rpp,daw", ["rpp,dawproject"]),
        ("separate --on-overload s", ["scale"]),
        ("separate --provider local --model c", ["classic"]),
        ("separate --model c", ["classic"]),
        ("models loc", ["local"]),
        ("models local c", ["classic"]),
        ("run kar", ["karaoke"]),
        ("separate --preset 'my", ["my own"]),
        ("jobs list --state ca", ["cancelled"]),
        ("tag --provider med", ["mediax"]),
        ("login mv", ["mvsep"]),
        ("login lo", []),
        ("watch st", ["status"]),
        ("watch folder --on", ["--once"]),
        ("separate -- --pro", []),
        ("nothing --pro", []),
        ("completion z", ["zsh"]),
        ("config set separate.form", ["separate.format"]),
        ("config show local", ["local", "local.workers", "local.block_seconds", "local.nice"]),
        ("config set mvsep.api", []),
    ],
)
def test_each_place_of_a_line_has_its_words(outline: Tree, home: Path, line: str, found: list[str]) -> None:
    (home / "config.toml").write_text(CONFIG)
    assert words_of(outline, line) == found


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("separate ", "file"),
        ("separate One.flac Tw", "file"),
        ("run karaoke ", "file"),
        ("separate -- --x", "file"),
        ("separate --to ", "folder"),
        ("separate --to=St", "folder"),
        ("watch ", "folder"),
        ("watch status ", "folder"),
        ("fetch mvsep 123 ", "file"),
        ("separate --option ", "plain"),
    ],
)
def test_files_and_folders_are_left_to_the_shell(outline: Tree, line: str, kind: str) -> None:
    assert kind_of(outline, line) == kind


def test_every_command_and_option_is_there_and_nothing_hidden(home: Path) -> None:
    (watch,) = (point for point in metadata.entry_points(group="stembridge") if point.name == "reaper")
    plugins = load_fakes(FakePoint("adding", Adding()), cast(FakePoint, watch))
    tree = draw_outline(Context(Settings(home), plugins))["tree"]
    assert {"watch", "reaper"} <= set(tree["commands"])
    assert "reaper-worker" not in tree["commands"]
    assert {"--json", "--force", "-n", "--no-residual"} <= set(tree["commands"]["separate"]["options"])


def test_jobs_of_the_store_and_models_that_were_listed(outline: Tree, home: Path, stembridge: Run) -> None:
    number = store_job(home)
    assert complete(outline, split("jobs show 0192")[0]) == ("plain", [(number, "failed Song.flac")])
    assert words_of(outline, "models fake ") == []
    stembridge("__nothing")
    draw_outline()
    assert stembridge("models").code == 0
    kept = completion.read_outline()
    assert kept is not None
    assert kept["models"]["fake"] == {"halves": "Halves", "drumsep": "Drums apart"}


def test_a_change_of_packages_has_the_tree_drawn_anew(
    outline: Tree, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert completion.read_outline() == outline
    monkeypatch.setenv("STEMBRIDGE_PLUGINS", "local")
    assert completion.read_outline() is None
    monkeypatch.delenv("STEMBRIDGE_PLUGINS")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.path.insert(0, "")
    assert completion.read_outline() is None
    (home / completion.FILE_NAME).write_text("{")
    assert completion.read_outline() is None


def test_the_home_folder_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_HOME", "~/somewhere")
    assert completion.home() == Settings().home
    monkeypatch.delenv("STEMBRIDGE_HOME")
    assert completion.home() == Settings().home


def test_an_answer_imports_next_to_nothing(outline: Tree) -> None:
    code = "import sys; from plugin_core.__main__ import main; sys.argv = ['stembridge', '__complete', 'fish', 'sep']\n"
    code += "main(); print(sorted({'click', 'msgspec', 'tomllib', 'sqlite3', 'plugin_core.model'} & set(sys.modules)))"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, completion.signature()[3]))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.splitlines()[:2] == ["plain", "separate\tSplit songs into stems, placed beside each song."]
    assert done.stdout.splitlines()[-1] == "[]"


# Real shells.


@pytest.fixture
def environ(tmp_path: Path, home: Path) -> dict[str, str]:
    """Return an environment with the command in its path, a preset, a job, and songs in the current folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "stembridge"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m plugin_core "$@"\n')
    command.chmod(0o755)
    (home / "config.toml").write_text(CONFIG)
    store_job(home)
    (tmp_path / "My Song.flac").touch()
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    more = {"PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "user"), "TERM": "xterm", "PS1": "READY> "}
    (tmp_path / "user").mkdir()
    return {name: text for name, text in os.environ.items() if not name.startswith(("XDG_", "ZDOTDIR"))} | more


def type_keys(command: Sequence[str], environ: dict[str, str], folder: Path, steps: Sequence[tuple[str, str]]) -> None:
    """Start a shell on a terminal of its own, and type: each time what is expected before (a pattern) was seen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execvpe(command[0], list(command), environ)
    seen = ""
    deadline = time.monotonic() + 120
    try:
        for pattern, keys in steps:
            while not re.search(pattern, seen):
                assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], (pattern, seen)
                seen = re.sub(
                    r"\x1b\[[0-9;?]*[a-zA-Z]|\x08|\x07", "", seen + os.read(terminal, 65536).decode(errors="replace")
                )
            seen = ""
            os.write(terminal, keys.encode())
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash(tmp_path: Path, environ: dict[str, str]) -> None:
    lines = ("separate --project=r", "separate --preset my", "separate --preset 'my", "jobs show 0192", "jobs sh")
    script = SCRIPTS["bash"].replace("complete -o nosort -F _stembridge stembridge", "")
    script += "compopt() { true; }\n"
    for line in lines:
        script += f'COMP_LINE="stembridge {line}"; COMP_POINT=${{#COMP_LINE}}; _stembridge stembridge\n'
        script += 'printf "%s;" "${COMPREPLY[@]}"; echo\n'
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    number = "0192aaaa-1111-7000-8000-000000000000"
    assert done.stdout.splitlines() == ["rpp;", "my\\ own;", "my own;", f"{number};", "show;"]
    assert done.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_nothing_in_a_name_is_run(tmp_path: Path, quote: str) -> None:
    names = ["$(touch ran)", "`touch ran`", 'a"; touch ran; "', "a'; touch ran; '", "a\\'b\\\\", "a & touch ran"]
    words = " ".join(f"{quote}{_for_bash(name, '', quote)}{quote}" for name in names)
    done = subprocess.run(["bash", "-c", f"printf '%s\\n' {words}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == names
    assert not (tmp_path / "ran").exists()


def test_a_start_up_file_is_kept_to_the_byte(tmp_path: Path) -> None:
    start_up = tmp_path / ".zshrc"
    before = b"bindkey -s '^X' 'ls\r'\r\n# caf\xe9\n"
    start_up.write_bytes(before)
    place = Place("zsh", {"HOME": str(tmp_path)})
    assert len([*place.write(), *place.remove()]) == 5
    assert start_up.read_bytes() == before


def test_bash_on_a_terminal_once_it_is_installed(tmp_path: Path, environ: dict[str, str]) -> None:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    start_up = Path(environ["HOME"], ".bashrc")
    start_up.write_text("PS1='READY> '  # mine")
    start_up.chmod(0o640)
    install = [sys.executable, "-m", "plugin_core", "completion", "bash"]
    subprocess.run([*install, "--install"], env=environ, check=True, capture_output=True)
    subprocess.run([*install, "--install"], env=environ, check=True, capture_output=True)
    assert start_up.read_text().count("completion of stembridge") == 1
    steps = [
        ("READY> $", "stembridge separ\t"),
        ("separate $", "My\t"),
        (r"My\\ Song\.flac $", "--pre\t"),
        (r"--preset $", "kar\t"),
        (r"karaoke $", ""),
    ]
    type_keys(["bash", "-i"], environ, tmp_path, steps)
    subprocess.run([*install, "--uninstall"], env=environ, check=True, capture_output=True)
    assert start_up.read_text() == "PS1='READY> '  # mine\n"
    assert start_up.stat().st_mode & 0o777 == 0o640
    assert [path for path in Path(environ["HOME"]).rglob("*") if path.is_file()] == [start_up]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_on_a_terminal(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / "_stembridge").write_text(SCRIPTS["zsh"])
    environ |= {"ZDOTDIR": str(tmp_path / "user")}
    Path(environ["HOME"], ".zshrc").write_text(
        f"PS1='READY> '; autoload -Uz compinit; compinit -u; . {tmp_path}/_stembridge"
    )
    steps = [
        ("READY> ", "stembridge separ\t"),
        (r"ate\S* ", "My\t"),
        (r"Song\.flac\S* ", "--preset my\t"),
        (r"my\\ own", " --to=us\t"),
        (r"user/", ""),
    ]
    type_keys(["zsh", "-i", "-d"], environ, tmp_path, steps)


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish(tmp_path: Path, environ: dict[str, str]) -> None:
    lines = ("separ", "separate My", "run my", "separate --to=us", "jobs show 0192")
    script = SCRIPTS["fish"] + "".join(f"complete -C 'stembridge {line}'\n" for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], env=environ, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    words = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    number = "0192aaaa-1111-7000-8000-000000000000"
    assert words == ["separate", "My Song.flac", "my own", "--to=user/", number]
    assert done.stderr == ""
    # A name that begins with a dash is none of our options, nor one of those that fish asks itself with.
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("-dash.flac", "plain.flac"):
        (folder / name).touch()
    (folder / "-dir").mkdir()
    lines = ("separate -- -da", "separate ", "separate ./p", "separate --to -", "separate ./-d")
    script = SCRIPTS["fish"] + "".join(f"complete -C 'stembridge {line}'\n" for line in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], env=environ, cwd=folder, capture_output=True, text=True, check=True
    )
    words = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert words == ["-dash.flac", "plain.flac", "./plain.flac", "-dir/", "./-dash.flac", "./-dir/"]
    assert done.stderr == ""


def test_what_shell_is_meant(stembridge: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert stembridge("completion").out == SCRIPTS["fish"]
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    path = tmp_path / "user" / ".config" / "fish" / "completions" / "stembridge.fish"
    assert f"wrote {path}" in stembridge("completion", "--install").out
    assert path.read_text() == SCRIPTS["fish"]
    assert stembridge("completion", "--uninstall").out == f"removed {path}\n"
    assert stembridge("completion", "--uninstall").out == "nothing was installed\n"
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert stembridge("completion").code == 2
    (tmp_path / "user" / ".config").chmod(0o755)
    shutil.rmtree(tmp_path / "user" / ".config")
    (tmp_path / "user" / ".config").write_text("in the way")
    result = stembridge("completion", "fish", "--install")
    assert (result.code, "cannot be written" in result.err) == (1, True)
