from __future__ import annotations

import importlib.util
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from plugin_core.errors import SettingsError
from plugin_core.providers.neural.tensors import read_tensors
from tests.plugin_core.providers.neural.weights import (
    Tensors,
    index_of,
    random_target,
    tensor,
    text,
    write_legacy,
    write_safetensors,
    write_zip,
)

SMALL: Tensors = {"one": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7, dtype=np.int64)}
START = b"\x80\x02ccollections\nOrderedDict\n)R(" + text("one")
"""The beginning of a table whose one value follows."""


@pytest.mark.parametrize("write", [write_zip, write_legacy, write_safetensors])
def test_every_layout_gives_the_tensors(tmp_path: Path, write: Callable[[Path, Tensors], Path]) -> None:
    tensors = random_target(0)
    found = read_tensors(write(tmp_path / "weights", tensors))
    assert found.keys() == tensors.keys()
    for name, one in tensors.items():
        assert found[name].shape == one.shape and np.array_equal(found[name], one)


def test_a_turned_tensor_is_turned(tmp_path: Path) -> None:
    index = index_of({"one": SMALL["one"]}, shape=(3, 2), strides=(1, 3))
    found = read_tensors(write_zip(tmp_path / "turned.pth", {"one": SMALL["one"]}, index))
    assert found["one"].tolist() == SMALL["one"].T.tolist()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_what_torch_writes_is_read(tmp_path: Path) -> None:
    import torch

    state = {name: torch.from_numpy(one.copy()) for name, one in random_target(0).items()}
    for is_zip in (True, False):
        torch.save(state, tmp_path / "torch.pth", _use_new_zipfile_serialization=is_zip)
        found = read_tensors(tmp_path / "torch.pth")
        assert all(np.array_equal(found[name], one.numpy()) for name, one in state.items())


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def refuse(path: Path, word: str = "") -> None:
    with pytest.raises(SettingsError, match=rf"{path.name}: .*{word}.*; nothing of it was run") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_no_programme_is_run(tmp_path: Path, write: Callable[[Path, Tensors, bytes], Path]) -> None:
    trap, path = tmp_path / "sprung", tmp_path / "trap.pth"
    programmes = [
        pickle.dumps({"one": Trap(trap)}, protocol=2),
        pickle.dumps(Trap(trap), protocol=4),
        START + b"cbuiltins\neval\n(X\x0c\x00\x00\x001+1000000000tR" + b"u.",
        START + b"ctorch.nn.modules.linear\nLinear\n)\x81u.",
        START + b"cposix\nmkdir\n(" + text(str(trap)) + b"tRu.",
        START + b"ctorch._utils\n_rebuild_tensor_v2\n}" + text("__class__") + b"sbu.",
        b"\x80\x02cos\nsystem\n.",
        b"\x80\x02i__builtin__\nprint\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    ]
    for programme in programmes:
        refuse(write(path, SMALL, programme))
    assert not trap.exists()


WRONG = {
    "names nothing": b"\x80\x02}.",
    "a number": b"\x80\x02K\x07.",
    "nothing to mark": b"\x80\x02t.",
    "nothing to take": b"\x80\x02\x87.",
    "no end": b"\x80\x02}",
    "no stack": b"\x80\x02.",
    "path as a key": START + tensor("../../etc/passwd", SMALL["one"]) + b"u.",
    "dots as a key": START + tensor("..", SMALL["one"]) + b"u.",
    "other kind": START + tensor("0", SMALL["one"], kind="QInt8Storage") + b"u.",
    "beyond its storage": START + tensor("0", SMALL["one"], offset=1) + b"u.",
    "before its storage": START + tensor("0", SMALL["one"], offset=-1) + b"u.",
    "steps beyond it": START + tensor("0", SMALL["one"], strides=(4, 1)) + b"u.",
    "steps back": START + tensor("0", SMALL["one"], strides=(-1, 1)) + b"u.",
    "one number for a million": START + tensor("0", SMALL["one"], shape=(1 << 20,), strides=(0,)) + b"u.",
    "terabytes": START + tensor("0", SMALL["one"], shape=(1 << 30, 1 << 30), strides=(0, 0)) + b"u.",
    "more samples than there are": START + tensor("0", SMALL["one"], count=1 << 28) + b"u.",
    "fewer": START + tensor("0", SMALL["one"], count=5) + b"u.",
    "a memo of 2^28": b"\x80\x02}r\xff\xff\xff\x0f.",
    "a memo nobody wrote": b"\x80\x02h\x07.",
    "a long text": b"\x80\x02X\xff\xff\xff\x7fno.",
    "a key that is no text": b"\x80\x02}" + b")" + b"\x85" * 200_000 + b"K\x01s.",
    "keys that are no texts": b"\x80\x02}(" + b")" + b"\x85" * 200_000 + b"K\x01u.",
}


@pytest.mark.parametrize("why", WRONG)
def test_a_wrong_index_is_refused(tmp_path: Path, why: str) -> None:
    refuse(write_zip(tmp_path / "wrong.pth", SMALL, WRONG[why]))
    refuse(write_legacy(tmp_path / "wrong.pth", SMALL, WRONG[why]))


def test_wrong_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.pth"
    refuse(write_zip(path, SMALL, how=zipfile.ZIP_DEFLATED), "packed")
    write_zip(path, SMALL)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", index_of(SMALL))
    refuse(path, "archive of torch")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", index_of(SMALL))
        archive.writestr("archive/byteorder", "big")
    refuse(path, "byte order")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", index_of(SMALL))
    refuse(path, "damaged")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + bytes((1 << 20) + 1))
    refuse(path, "archive of torch")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    for data in (
        b"",
        b"<!DOCTYPE html><html>",
        b"\x08\x07\x12\x07pytorch",
        b"RIFF" + bytes(60),
        b"PK\x03\x04",
        b"\x80",
    ):
        path.write_bytes(data)
        refuse(path)
    refuse(tmp_path / "nowhere.pth", "No such file")
    refuse(tmp_path, "directory")
    head = b'{"one": {"dtype": "F32", "shape": [1073741824], "data_offsets": [0, 4294967296]}}'
    path.write_bytes(struct.pack("<Q", len(head)) + head)
    refuse(path, "cut short")
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{")
    refuse(path, "cut short")


@pytest.mark.parametrize("write", [write_zip, write_legacy, write_safetensors])
def test_cut_and_damaged_files_are_refused_or_read_and_nothing_else(
    tmp_path: Path, write: Callable[[Path, Tensors], Path]
) -> None:
    whole = write(tmp_path / "whole.pth", SMALL).read_bytes()
    path = tmp_path / "damaged.pth"
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        refuse(path)
    path.write_bytes(whole + b"\0")
    if write is not write_zip:  # an archive's end is looked for
        refuse(path)
    chance = random.Random(4)
    for _ in range(600):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            read_tensors(path)
        except SettingsError:
            continue


def test_our_writer_writes_as_torch_does() -> None:
    """Else all of this would be about files that nobody has."""
    found = {code.name for code, _, _ in pickletools.genops(index_of(SMALL))}
    assert {"GLOBAL", "BINPERSID", "REDUCE", "SETITEMS", "BINPUT", "EMPTY_TUPLE", "TUPLE"} <= found


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_hostile_files_take_no_memory(tmp_path: Path) -> None:
    """Each of them asks for gigabytes, in a process that may have none."""
    paths = [
        write_zip(tmp_path / f"{number}.pth", SMALL, WRONG[why])
        for number, why in enumerate(("terabytes", "more samples than there are", "a memo of 2^28", "a long text"))
    ]
    code = (
        "import sys, resource; from pathlib import Path\n"
        "from plugin_core.errors import SettingsError\n"
        "from plugin_core.providers.neural.tensors import read_tensors\n"
        "held = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (held + (64 << 20),) * 2)\n"
        "for name in sys.argv[1:]:\n"
        "    try: read_tensors(Path(name))\n"
        "    except SettingsError: print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.stdout, done.stderr) == ("refused\n" * len(paths), "")
