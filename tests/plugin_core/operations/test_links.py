"""Which stager a provider reads through, and which bucket its results come to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from plugin_core.errors import UsageError
from plugin_core.operations.links import NO_LINKS, Links
from plugin_core.protocols import Bucket, Provider, Stager
from plugin_core.settings import Secret


class Folder:
    """A stager, and nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def stage(self, path: Path, key: str) -> str:
        return f"https://files.example/{key}"

    async def unstage(self, key: str) -> None:
        return None


class Shelf(Folder):
    """A stager that is a bucket."""

    async def link(self, key: str) -> Secret | None:
        return None

    async def find(self, beginning: str) -> Sequence[str]:
        return ()

    async def remove(self, key: str) -> None:
        return None


class Reader:
    """A provider that reads by link."""

    name = "reader"

    def __init__(self, stager: str = "") -> None:
        self.stager = stager


class Writer(Reader):
    """A provider whose results come to a bucket."""

    def __init__(self, stager: str = "", bucket: str = "") -> None:
        super().__init__(stager)
        self.bucket = bucket


def links(*stagers: Folder) -> Links:
    return Links(lambda: {each.name: cast("Stager", each) for each in stagers})


def provider(each: Reader) -> Provider:
    return cast("Provider", each)


FOLDER, COS, S3 = Folder("public_url"), Shelf("cos"), Shelf("s3")


def test_a_bucket_is_told_from_a_stager() -> None:
    assert isinstance(COS, Bucket)
    assert not isinstance(FOLDER, Bucket)


@pytest.mark.parametrize(
    ("stagers", "named", "expected"),
    [((COS,), "", COS), ((COS, FOLDER), "", COS), ((COS, S3), "s3", S3), ((COS, S3, FOLDER), "cos", COS)],
    ids=["only", "only bucket", "named", "named of all"],
)
def test_the_bucket_is_the_named_one_or_the_only_one(stagers: tuple[Folder, ...], named: str, expected: Folder) -> None:
    found = links(*stagers).bucket_for(provider(Writer(bucket=named)))
    assert found is cast("Bucket", expected)


@pytest.mark.parametrize(
    ("stagers", "named", "words"),
    [
        ((), "", "reader come to a bucket of yours, and none is set up; set one up, cos or s3"),
        ((FOLDER,), "", "none is set up"),
        ((COS, S3), "", "several are set up; name one of cos, s3 in its settings"),
        ((COS, FOLDER), "public_url", "stager 'public_url', which is no bucket; name one of cos"),
        ((COS,), "s3", "stager 's3', which is not set up; name one of cos"),
    ],
    ids=["none", "no bucket", "several", "named is none", "named is absent"],
)
def test_without_a_bucket_the_remedy_is_said(stagers: tuple[Folder, ...], named: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        links(*stagers).bucket_for(provider(Writer(bucket=named)))


def test_a_provider_that_hands_its_results_out_needs_none() -> None:
    assert NO_LINKS.bucket_for(provider(Reader())) is None
    links(FOLDER).check(provider(Reader()))


@pytest.mark.parametrize(
    ("stagers", "writer", "words"),
    [((), Writer(), "by link"), ((FOLDER,), Writer(), "results of reader"), ((COS, S3), Writer("cos"), "several")],
    ids=["no stager", "no bucket", "several buckets"],
)
def test_both_ways_are_checked(stagers: tuple[Folder, ...], writer: Writer, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        links(*stagers).check(provider(writer))
