from __future__ import annotations

import io
import json
import logging
from urllib.parse import quote, quote_plus

import pytest

from plugin_core.settings import Secret
from plugin_core.transfer.redaction import guard_logs, holds_secret, redact, redact_url, register

ODD = "o/dd +secret\"'\\%ü"


@pytest.fixture(autouse=True)
def known() -> None:
    register(Secret(ODD))
    for text in ("plain-secret", "plain-secret-of-another", "qzx4", "abc"):
        register(Secret(text))


@pytest.mark.parametrize(
    "form",
    [
        *(ODD, quote(ODD), quote(ODD, safe=""), quote_plus(ODD), repr(ODD)[1:-1]),
        *(json.dumps(ODD)[1:-1], json.dumps(ODD, ensure_ascii=False)[1:-1]),
        *("plain-secret", "plain-secret-of-another", "qzx4"),
    ],
    ids=["plain", "path", "strict", "form", "repr", "ascii", "json", "simple", "longer", "shortest"],
)
def test_a_registered_secret_is_masked_in_every_spelling(form: str) -> None:
    assert redact(f"a {form} b") == "a ******** b"
    assert holds_secret(form)


def test_a_secret_of_odd_bytes_is_masked_too() -> None:
    register("odd\udcffbytes")
    assert redact("a odd\udcffbytes b") == "a ******** b"


def test_words_too_short_to_be_secrets_stay() -> None:
    assert redact("abc") == "abc" and not holds_secret("abc")


@pytest.mark.parametrize("name", ["api_token", "password", "q-signature", "X-Amz-Signature", "x-cos-security-token"])
def test_values_that_names_call_secret_are_masked(name: str) -> None:
    assert (
        redact(f"GET https://x.example/?{name}=v%20al&a=1 HTTP") == f"GET https://x.example/?{name}=********&a=1 HTTP"
    )


@pytest.mark.parametrize("text", ["/design=1", "assign=2", "tokens=3", "passwordless=4"])
def test_other_names_stay(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@x.example/a?b=1&token=2#f", "https://x.example/a?b=1&token=********"),
        ("https://x.example/plain-secret", "https://x.example/********"),
        ("https://x.example/a?empty=&b=1", "https://x.example/a?empty=&b=1"),
        ("http://[::1", "http://[::1"),
        ("", ""),
    ],
)
def test_a_url_is_fit_to_be_shown(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_what_any_logger_says_is_masked_whoever_listens() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger().addHandler(handler)
    guard_logs()
    made = logging.getLogRecordFactory()
    guard_logs()
    assert logging.getLogRecordFactory() is made, "once is enough"
    # Of a library nobody has heard of yet, and of a part of it.
    logger = logging.getLogger(f"{__name__}.unheard.part")
    try:
        logger.error("%s and %r", "plain-secret", {"url": "https://x.example/?api_token=123456"})
        logger.error("plain-secret %d", "not a number")
        logger.error("a harmless line")
        try:
            raise ValueError("plain-secret")
        except ValueError:
            logger.exception("failed", stack_info=True)
    finally:
        logging.getLogger().removeHandler(handler)
    assert "plain-secret" not in stream.getvalue().replace('logger.error("plain-secret', "")
    assert "123456" not in stream.getvalue()
    assert "a harmless line" in stream.getvalue()
    assert "ValueError: ********" in stream.getvalue()
