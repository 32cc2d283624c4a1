from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import RefusedError, SettingsError
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.settings import Secret, Settings


def test_hosts_are_those_of_bucket_and_region() -> None:
    settings = TencentSettings(bucket="songs-1250000000", region="ap-guangzhou")
    assert settings.cos_url() == "https://songs-1250000000.cos.ap-guangzhou.myqcloud.com"
    assert settings.ci_url() == "https://songs-1250000000.ci.ap-guangzhou.myqcloud.com"
    assert settings.ci_account_url() == "https://ci.ap-guangzhou.myqcloud.com"


@pytest.mark.parametrize("bucket", ["", "songs", "evil.example/x-1250000000", "Songs-1250000000", "a@b-1250000000"])
def test_a_bucket_that_is_none_never_becomes_a_host(bucket: str) -> None:
    with pytest.raises(SettingsError, match="bucket"):
        TencentSettings(bucket=bucket, region="ap-guangzhou").cos_url()


@pytest.mark.parametrize("region", ["", "ap-guangzhou.evil.example", "ap/x", "ap-"])
def test_a_region_that_is_none_never_becomes_a_host(region: str) -> None:
    with pytest.raises(SettingsError, match="region"):
        TencentSettings(bucket="songs-1250000000", region=region).ci_url()


@pytest.mark.parametrize("url", ["ftp://x", "https://", "https://x/?a=b", "x"])
def test_an_address_of_ones_own_is_checked(url: str) -> None:
    with pytest.raises(SettingsError, match="cos_base_url"):
        TencentSettings(bucket="songs-1250000000", region="r", cos_base_url=url).cos_url()


def test_keys_come_from_the_documented_variables(tmp_path: Path) -> None:
    environ = {"STEMBRIDGE_TENCENT_SECRET_ID": "id", "STEMBRIDGE_TENCENT_SECRET_KEY": "key"}
    section = Settings(tmp_path, environ=environ).section("tencent", TencentSettings)
    assert section.credentials().secret_key.reveal() == "key"
    assert "key" not in repr(msgspec.structs.asdict(section)["secret_key"])
    with pytest.raises(RefusedError, match="login tencent_ci"):
        TencentSettings(secret_id=Secret("id")).credentials()


@pytest.mark.parametrize(("prefix", "folder"), [("", ""), ("/", ""), ("/a/b", "a/b/"), ("a/", "a/")])
def test_a_prefix_is_a_folder(prefix: str, folder: str) -> None:
    assert TencentSettings(prefix=prefix).folder == folder


@pytest.mark.parametrize(
    ("key", "text"),
    [("LEVEL", "7"), ("CALLBACK_FORMAT", "YAML"), ("CALLBACK_TYPE", "Pigeon"), ("CALLBACK_MQ_MODE", "Stack")],
)
def test_what_the_service_would_refuse_after_the_upload_is_refused_first(key: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=key):
        Settings(tmp_path, environ={f"STEMBRIDGE_TENCENT_{key}": text}).section("tencent", TencentSettings)


@pytest.mark.parametrize(
    "other",
    [
        {"prefix": "a\x01b/"},
        {"queue": "p\udcff"},
        {"callback_url": "https://x/\n"},
        {"callback_url": "files.example.org/hook"},
        {"callback_url": "off"},
        {"callback_type": "TDMQ"},
    ],
    ids=lambda other: repr(next(iter(other.items()))),
)
def test_what_no_request_can_hold_is_refused_before_the_upload(other: dict[str, str]) -> None:
    settings = msgspec.convert({"bucket": "songs-1250000000", "region": "r", **other}, TencentSettings)
    with pytest.raises(SettingsError, match=next(iter(other))):
        settings.cos_url()


@pytest.mark.parametrize("url", ["", "no", "https://x.example/hook?a=b", "http://127.0.0.1:8717/tencent_ci/0a"])
def test_what_a_callback_can_be(url: str) -> None:
    TencentSettings(bucket="songs-1250000000", region="r", callback_url=url).check()


@pytest.mark.parametrize("name", ["secret_id", "secret_key", "token"])
def test_a_key_of_odd_bytes_is_refused(name: str) -> None:
    settings = TencentSettings(secret_id=Secret("id"), secret_key=Secret("key"))
    with pytest.raises(SettingsError, match=name):
        msgspec.structs.replace(settings, **{name: Secret("k\udcff")}).credentials()


@pytest.mark.parametrize(
    "results",
    [
        "stems/${stem}.${ext}",
        "${jobid}.${ext}",
        "/${jobid}/${stem}.${ext}",
        "a/../${jobid}${stem}${ext}",
        "${jobid}//${stem}.${ext}",
    ],
)
def test_names_that_could_meet_or_lead_elsewhere_are_refused(results: str) -> None:
    settings = TencentSettings(bucket="songs-1250000000", region="ap-guangzhou", results=results)
    with pytest.raises(SettingsError, match=r"\[tencent\] results") as caught:
        settings.check()
    assert "stems/${jobid}/${stem}.${ext}" in caught.value.remedy
