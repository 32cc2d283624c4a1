"""The vendor's own SDK against the simulator, unpatched but for its address: what it expects, the simulator has.

Runs where ``cos-python-sdk-v5`` is installed, which stembridge itself never needs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.audio_files import write_song
from tests.simulators.blobs import Blob
from tests.simulators.tencent import TencentSimulator
from tests.simulators.tencent.service import BUCKET, QUEUE, REGION

sdk = pytest.importorskip("qcloud_cos")

KEY = "a/音 1.txt"
HERE = {"Bucket": BUCKET}


@pytest.fixture
def cloud() -> Iterator[TencentSimulator]:
    with TencentSimulator() as simulator:
        simulator.store.put(KEY, Blob.of(b"hello"))
        yield simulator


def client(cloud: TencentSimulator, url: str) -> Any:
    place = urlsplit(url)
    keys = {"SecretId": cloud.keys.secret_id, "SecretKey": cloud.keys.secret_key}
    config = sdk.CosConfig(Region=REGION, Scheme="http", IP=place.hostname, Port=place.port, Timeout=10, **keys)
    return sdk.CosS3Client(config, retry=0)


def read(answer: dict[str, Any]) -> bytes:
    return bytes(answer["Body"].get_raw_stream().read())


def test_objects(cloud: TencentSimulator, tmp_path: Path) -> None:
    cos = client(cloud, cloud.cos_url)
    cos.put_object(**HERE, Body=b"hello", Key=KEY, EnableMD5=True, Metadata={"x-cos-meta-who": "me"})
    head = cos.head_object(**HERE, Key=KEY)
    assert (head["Content-Length"], head["x-cos-meta-who"], "GMT" in head["Last-Modified"]) == ("5", "me", True)
    assert read(cos.get_object(**HERE, Key=KEY, Range="bytes=1-2")) == b"el"
    assert (cos.object_exists(BUCKET, KEY), cos.object_exists(BUCKET, "none"), cos.bucket_exists(BUCKET)) == (
        True,
        False,
        True,
    )
    cos.copy_object(**HERE, Key="b.txt", CopySource=HERE | {"Key": KEY, "Region": REGION})
    listed = cos.list_objects(**HERE, Delimiter="/", EncodingType="url")
    assert {"Key", "LastModified", "ETag", "Size", "Owner", "StorageClass"} <= set(listed["Contents"][0])
    assert [each["Prefix"] for each in listed["CommonPrefixes"]] == ["a/"]
    with pytest.raises(sdk.CosServiceError) as caught:
        cos.get_object(**HERE, Key=KEY, IfMatch='"0"')
    assert caught.value.get_status_code() == 412
    gone = cos.delete_objects(**HERE, Delete={"Object": [{"Key": KEY}, {"Key": "b.txt"}], "Quiet": "false"})
    assert len(gone["Deleted"]) == 2
    assert cloud.store.objects == {}
    with pytest.raises(sdk.CosServiceError) as caught:
        cos.get_object(**HERE, Key=KEY)
    assert (caught.value.get_error_code(), bool(caught.value.get_request_id())) == ("NoSuchKey", True)
    song, back = tmp_path / "big.bin", tmp_path / "back.bin"
    song.write_bytes(os.urandom(3 << 20))
    cos.upload_file(**HERE, Key="big.bin", LocalFilePath=str(song), PartSize=1, MAXThread=2, EnableMD5=True)
    cos.download_file(**HERE, Key="big.bin", DestFilePath=str(back), PartSize=1, MAXThread=2)
    assert back.read_bytes() == song.read_bytes()


def test_jobs_and_templates(cloud: TencentSimulator, tmp_path: Path) -> None:
    cos, ci = client(cloud, cloud.cos_url), client(cloud, cloud.ci_url)
    cloud.store.put("song.flac", Blob.of(write_song(tmp_path / "song.flac", 1.0).read_bytes()))
    media = cos.get_media_info(**HERE, Key="song.flac")["MediaInfo"][0]
    assert media["Stream"]["Audio"]["CodecName"] == "flac"
    xml = {"ContentType": "application/xml"}
    wish = {"AudioMode": "IsAudio", "AudioConfig": {"Codec": "flac"}}
    output = {"Region": REGION, "Bucket": BUCKET, "AuObject": "out/${jobid}/v.${ext}"}
    job = {
        "Tag": "VoiceSeparate",
        "Input": {"Object": "song.flac"},
        "Operation": {"VoiceSeparate": wish, "Output": output, "UserData": "sdk"},
    }
    made = ci.ci_create_media_jobs(**HERE, Jobs=job, Lst={}, **xml)["JobsDetail"][0]
    for _ in range(2):
        told = ci.ci_get_media_jobs(**HERE, JobIDs=made["JobId"], **xml)["JobsDetail"][0]
    assert (told["State"], told["Operation"]["UserData"]) == ("Success", "sdk")
    listed = ci.ci_list_media_jobs(**HERE, QueueId=QUEUE, Tag="VoiceSeparate", **xml)["JobsDetail"]
    assert [each["JobId"] for each in listed] == [made["JobId"]]
    late = ci.ci_create_media_jobs(**HERE, Jobs=job, Lst={}, **xml)["JobsDetail"][0]
    ci.ci_cancel_jobs(**HERE, JobID=late["JobId"], **xml)
    assert cloud.jobs.all[late["JobId"]].state == "Cancel"
    template = {"Tag": "VoiceSeparate", "Name": "n", **wish}
    template_id = ci.ci_create_template(**HERE, Template=template)["Template"]["TemplateId"]
    assert "n" in str(ci.ci_get_template(**HERE, Ids=template_id))
    ci.ci_delete_template(**HERE, TemplateId=template_id)
    assert BUCKET in str(ci.ci_get_asr_bucket(Regions=REGION, BucketName=BUCKET))
