from __future__ import annotations

import msgspec
import pytest

from plugin_core import errors
from plugin_core.errors import ServiceError, SourceError, StembridgeError, UsageError
from plugin_core.model import from_json, to_json
from plugin_core.providers.local.request import (
    OPTIONS,
    Failed,
    Message,
    Parameters,
    WorkerDone,
    Working,
    fill_options,
    read_options,
)


def test_defaults_are_the_methods() -> None:
    assert read_options(fill_options({})) == Parameters()


def test_one_spelling() -> None:
    assert fill_options({"melody_depth": " 0.50 "}) == fill_options({"melody_depth": "5e-1"})


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("text", ["", "loud", "nan", "inf", "-1", "1e9"])
def test_what_is_no_number_in_range_is_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=rf"option {name}=.*is no number from .* to .*the default is"):
        read_options({name: text})


def test_unknown_option_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no option 'center_weight', did you mean 'centre_weight'\?.*melody_depth"):
        read_options({"center_weight": "1"})


@pytest.mark.parametrize(
    "message", [Working(0.5), Working(None), WorkerDone({"bass": "bass.flac"}, 3), Failed("X", "y", "z")]
)
def test_there_and_back(message: Message) -> None:
    assert msgspec.json.decode(to_json(message), type=Message) == message
    assert from_json(to_json(message), type(message)) == message


def test_error_keeps_its_class_and_words() -> None:
    error = Failed("SourceError", "no music", "play some").as_error()
    assert type(error) is SourceError
    assert str(error) == "no music; play some"


@pytest.mark.parametrize("kind", ["ExitCode", "annotations", "KeyError", ""])
def test_what_is_no_error_of_ours_is_a_service_error(kind: str) -> None:
    assert type(Failed(kind, "odd").as_error()) is ServiceError


def test_every_class_can_be_carried() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, StembridgeError)]
    assert len(kinds) > 5
    assert all(type(Failed(kind.__name__, "what").as_error()) is kind for kind in kinds)
