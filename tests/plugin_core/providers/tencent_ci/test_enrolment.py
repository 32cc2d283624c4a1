from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from plugin_core.errors import RefusedError, UsageError
from plugin_core.model import Verdict
from plugin_core.providers.tencent_ci.adapter import CiSeparator
from plugin_core.providers.tencent_ci.settings import TencentSettings
from plugin_core.settings import Secret
from tests.plugin_core.providers.tencent_ci.conftest import transfer
from tests.simulators.tencent import TencentSimulator


def test_keys_are_tried_at_the_bucket(cloud: TencentSimulator, settings_for: Callable[..., TencentSettings]) -> None:
    separator = CiSeparator(settings_for(secret_id=Secret(""), secret_key=Secret("")), transfer=transfer())
    answers = {"secret_id": Secret(f" {cloud.keys.secret_id}\n"), "secret_key": Secret(cloud.keys.secret_key)}
    kept = asyncio.run(separator.login(answers))
    assert {name: value.reveal() for name, value in kept.items()} == {
        "secret_id": cloud.keys.secret_id,
        "secret_key": cloud.keys.secret_key,
    }
    with pytest.raises(RefusedError, match="SignatureDoesNotMatch"):
        asyncio.run(separator.login({**answers, "secret_key": Secret("wrong")}))
    with pytest.raises(UsageError, match="SecretId"):
        asyncio.run(separator.login({"secret_id": Secret("x")}))


def test_keys_are_kept_untried_while_there_is_no_bucket() -> None:
    separator = CiSeparator(TencentSettings(), transfer=transfer())
    answers = {question.name: Secret("x") for question in separator.questions}
    assert set(asyncio.run(separator.login(answers))) == {"secret_id", "secret_key"}


def test_without_an_account_the_doctor_asks_nobody() -> None:
    (finding,) = asyncio.run(CiSeparator(TencentSettings()).examine())
    assert finding.verdict is Verdict.OK
    assert "login tencent_ci" in finding.remedy


@pytest.mark.parametrize(
    ("change", "verdicts", "words"),
    [
        (lambda cloud: None, ["ok", "ok", "ok"], "enabled for the bucket"),
        (lambda cloud: setattr(cloud, "ci_status", "off"), ["ok", "wrong", "ok"], "not bound to Cloud Infinite"),
        (lambda cloud: setattr(cloud, "ci_status", "unbinding"), ["ok", "wrong", "ok"], "being unbound"),
        (
            lambda cloud: setattr(cloud, "has_asr", False),
            ["ok", "ok", "wrong"],
            "is not enabled for the bucket",
        ),
        (lambda cloud: setattr(cloud, "has_bucket", False), ["wrong"], "NoSuchBucket"),
        (lambda cloud: setattr(cloud.keys, "secret_key", "x"), ["wrong"], "login tencent_ci"),
        (lambda cloud: cloud.denied.update({"HEAD /", "GET /"}), ["wrong"], "rights"),
        (lambda cloud: cloud.denied.add("GET /asrbucket"), ["ok", "ok", "wrong"], "rights"),
        (lambda cloud: cloud.clock.advance(3600), ["wrong"], "clock"),
    ],
    ids=["well", "unbound", "unbinding", "no-asr", "no-bucket", "wrong-key", "no-right", "no-query", "clock"],
)
def test_the_doctor_says_what_is_missing(
    cloud: TencentSimulator,
    separator: CiSeparator,
    change: Callable[[TencentSimulator], None],
    verdicts: list[str],
    words: str,
) -> None:
    change(cloud)
    findings = asyncio.run(separator.examine())
    assert [finding.verdict.value for finding in findings] == verdicts
    assert words in " ".join(f"{finding.found} {finding.remedy}" for finding in findings)
    assert all(finding.remedy for finding in findings if finding.verdict is not Verdict.OK)


def test_media_processing_alone_is_a_warning(cloud: TencentSimulator, separator: CiSeparator) -> None:
    cloud.has_asr, cloud.has_media = False, True
    findings = asyncio.run(separator.examine())
    assert [finding.verdict for finding in findings][-1] is Verdict.WARNING
