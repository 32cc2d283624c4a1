from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import TransientError
from plugin_core.files.errors import explain_write_error
from plugin_core.model import Part, RemoteFile
from plugin_core.service.results import Pace, bring_all, name_result, part_files
from plugin_core.transfer.calls import Bytes
from tests.plugin_core.providers.mvsep.fakes import make_order


@pytest.mark.parametrize(("age", "seconds"), [(0, 5), (49, 5), (100, 10), (299, 29.9), (300, 30), (1e9, 30)])
def test_looks_become_rarer(age: float, seconds: float) -> None:
    assert Pace(5.0, 30.0).wait(age) == pytest.approx(seconds)


def test_a_result_that_cannot_be_brought_is_named_by_its_stem_and_song(tmp_path: Path) -> None:
    files = tuple(RemoteFile(label=stem, stem=stem, name=f"{stem}.flac") for stem in ("vocals", "lead-guitar"))
    order = msgspec.structs.replace(make_order(tmp_path, Path("/music/My Song.flac")), results=files)

    async def bring(index: int, file: RemoteFile, _tell: Bytes) -> Part:
        path = order.folder / name_result(index, file.stem, ".flac")
        if index:
            raise explain_write_error(part_files(order, path)[0], OSError(errno.ENOSPC, "full"))
        return Part(stem=file.stem, label=file.label, path=path)

    with pytest.raises(TransientError) as caught:
        asyncio.run(bring_all(order, lambda _progress: None, bring))
    assert caught.value.message == "Lead Guitar of My Song.flac cannot be written: no space left on the disk"
