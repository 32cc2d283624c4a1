"""The tables of the services' documentation name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROVIDERS = HERE.parents[2] / "plugin_core" / "providers"
# Whatever the pages of each service name: endpoints and actions, fields, states and errors.
DOCUMENTED = {
    "tencent_ci": """
        /jobs /jobs/<id> cancel /template /asrbucket /asrqueue /mediabucket CIStatus videoinfo NonExistJobIds
        tag queueId orderByTime nextToken size states inputObject Tag Input/Object Output/Region Bucket
        UserData AudioMode Output/Object AuObject BassObject DrumObject ${jobid} ${ext} Codec Samplerate
        Bitrate Channels TemplateId JobLevel QueueId CallBack CallBackFormat CallBackType CallBackMqConfig
        MediaResult ObjectName Md5Info JobId State Code Message CreationTime Submitted Running Pause Success
        Failed Cancel PUT HEAD GET DELETE Range PermanentRedirect TemporaryRedirect InvalidArgument
        MissingContent InvalidContent InvalidHost ResourceNotFound ResourceAccessDenied ResourceDownloadFailed
        MalformedXML EntityTooLarge EntityTooSmall BadDigest ExpiredToken KeyTooLong InvalidPart
        InvalidPartOrder RequestTimeout UserNetworkTooSlow 402 AccessDenied InvalidAccessKeyId
        SignatureDoesNotMatch RequestTimeTooSkewed InvalidObjectState NoSuchBucket NoSuchKey NoSuchUpload
        MethodNotAllowed UploadConflict PathConflict MissingContentLength PreconditionFailed InvalidRange 451
        InternalError ServiceUnavailable SlowDown""",
    "mediax": """
        CreateJob GetJob ListJobs musicTagV2{tagType} musicSeperate{method} contentId destination outputPrefix url
        source{contentId, tagType customId callback timeout gateway errorResponse musigTagV2 audioTagger Register
        1, 2 3 4, 5""",
}


@pytest.mark.parametrize("provider", ["mediax", "tencent_ci"])
def test_every_row_of_the_documentation_has_a_test_that_exists(provider: str) -> None:
    text = (PROVIDERS / provider / "README.md").read_text("utf-8").partition("row by row")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(test_\w+)`", text))
    made = {
        name
        for path in (HERE / provider).glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    assert named - made == set()
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.endswith("| test |")]
    assert len(rows) > 15
    assert [row for row in rows if "`test_" not in row] == []
    spoken = set(re.split(r"[\s`:;]+|, ", text)) | set(re.findall(r"\w+", text))
    assert {word for word in DOCUMENTED[provider].split() if word.strip(",") not in spoken} == set()
