from __future__ import annotations

import msgspec
import pytest

from plugin_core.errors import RefusedError, UsageError
from plugin_core.providers.mvsep.plan import choose_output, final_format
from tests.plugin_core.providers.mvsep.fakes import make_source


@pytest.mark.parametrize(
    ("encoding", "final", "is_premium", "key", "is_noted"),
    [
        ("pcm_16", "", True, "2", False),
        ("pcm_u8", "", True, "2", False),
        ("lossy", "", True, "2", False),
        ("pcm_24", "", True, "5", False),
        ("float", "", True, "5", False),
        ("pcm_24", "", False, "2", True),
        ("pcm_24", "flac16", True, "2", False),
        ("pcm_24", "mp3", True, "2", False),
        ("pcm_16", "wav24", True, "5", False),
        ("pcm_16", "wav32f", False, "2", True),
    ],
)
def test_depth_is_kept(encoding: str, final: str, is_premium: bool, key: str, is_noted: bool) -> None:
    output, note = choose_output("", make_source(encoding=encoding), final, is_premium=is_premium)
    assert (output.key, bool(note)) == (key, is_noted)


@pytest.mark.parametrize(
    ("word", "key", "final"),
    [
        ("0", "0", "mp3"),
        ("mp3", "0", "mp3"),
        ("wav16", "1", "wav16"),
        ("3", "3", "m4a"),
        ("4", "4", "wav32f"),
        ("FLAC24 ", "5", "flac24"),
    ],
)
def test_wished(word: str, key: str, final: str) -> None:
    output, note = choose_output(word, make_source(), "", is_premium=True)
    assert (output.key, note, final_format(output, make_source())) == (key, "", final)


@pytest.mark.parametrize("word", ["4", "5", "flac24"])
def test_premium_formats_are_refused(word: str) -> None:
    with pytest.raises(RefusedError, match="premium"):
        choose_output(word, make_source(), "", is_premium=False)


@pytest.mark.parametrize("word", ["6", "ogg", "-1"])
def test_unknown_formats(word: str) -> None:
    with pytest.raises(UsageError, match="output_format"):
        choose_output(word, make_source(), "", is_premium=True)


def test_rate_that_flac_cannot_say() -> None:
    source = msgspec.structs.replace(make_source(encoding="pcm_24"), sample_rate=88_203)
    for is_premium, final in ((True, "wav24"), (False, "wav16")):
        output, _ = choose_output("", source, "", is_premium=is_premium)
        assert final_format(output, source) == final
