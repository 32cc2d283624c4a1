from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugin_core.plugins import load_plugins
from plugin_core.settings import Settings

CLOUD = {"SECRET_ID": "i", "SECRET_KEY": "k", "BUCKET": "b-1250000000", "REGION": "ap-guangzhou"}


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, []),
        ({"STEMBRIDGE_S3_BUCKET": "b"}, ["s3"]),
        ({"STEMBRIDGE_PUBLIC_URL_BASE_URL": "https://x.example", "STEMBRIDGE_PUBLIC_URL_FOLDER": "/x"}, ["public_url"]),
        ({f"STEMBRIDGE_TENCENT_{name}": text for name, text in CLOUD.items()}, ["cos"]),
    ],
    ids=["none", "s3", "public-url", "cos"],
)
def test_only_what_is_set_up_is_offered(environ: dict[str, str], names: list[str], tmp_path: Path) -> None:
    plugins = load_plugins(environ=environ)
    settings = Settings(tmp_path, environ=environ)
    found: dict[str, Any] = plugins.collect("register_stagers", lambda each: str(each.name), settings=settings)
    assert sorted(found) == names
    assert plugins.failures == {}


def test_a_wrong_value_is_named(tmp_path: Path) -> None:
    environ = {"STEMBRIDGE_S3_BUCKET": "b", "STEMBRIDGE_S3_ADDRESSING": "sideways"}
    plugins = load_plugins(environ=environ)
    plugins.collect("register_stagers", lambda each: str(each.name), settings=Settings(tmp_path, environ=environ))
    assert "STEMBRIDGE_S3_ADDRESSING" in str(plugins.failures["stagers"])
