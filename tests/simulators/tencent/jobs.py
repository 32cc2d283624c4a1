"""The jobs of the simulated CI: their states, their results, and how they are described."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from tests.simulators.blobs import Blob
from tests.simulators.mvsep.media import NotAudioError
from tests.simulators.tencent.objects import ObjectStore, md5_of
from tests.simulators.tencent.requests import JobRequest
from tests.simulators.tencent.separation import separate

WALK = ("Submitted", "Running", "Success")
TERMINAL = ("Success", "Failed", "Cancel")


@dataclass
class Behaviour:
    """What is switchable about jobs."""

    walk: tuple[str, ...] = WALK
    """The state at each look; the last one stays."""
    message: str = "the audio is broken"
    """What a failed job says."""
    vocals_first: bool = True
    has_media_result: bool = True
    names_outputs: str = "resolved"
    """How a finished job repeats the keys asked for: ``resolved``, ``asked`` (wildcards and all), "" for not at all."""
    has_md5: bool = True
    wrong_md5: bool = False
    empty_times: bool = False
    """Whether times that are not known are empty, as of old, and not ``-``."""
    tells_object: bool = False
    """Whether ``JobsDetail`` of a JSON callback is one object, as some pages show, and not a list."""
    lost_outputs: tuple[str, ...] = ()
    """Nodes whose objects are named and not there."""
    echo: bool = False
    """Whether each output is the song itself: nothing is computed."""


@dataclass
class Job:
    """One job."""

    id: str
    request: JobRequest
    created: float
    queue: str
    walk: tuple[str, ...]
    looks: int = 0
    hidden_until: float = 0.0
    hidden_lists: int = 0
    made: dict[str, str] = field(default_factory=dict)
    """Key of each output that was made."""
    sums: dict[str, str] = field(default_factory=dict)
    cancelled: bool = False
    failure: str = ""
    told: bool = False

    @property
    def state(self) -> str:
        if self.cancelled:
            return "Cancel"
        return "Failed" if self.failure else self.walk[min(self.looks, len(self.walk) - 1)]


class Jobs:
    """All jobs of a bucket."""

    def __init__(self, store: ObjectStore, behaviour: Behaviour, clock: Callable[[], float]) -> None:
        self.all: dict[str, Job] = {}
        self._store = store
        self._behaviour = behaviour
        self._clock = clock

    def add(self, request: JobRequest, queue: str) -> Job:
        job = Job(f"j{uuid.uuid4().hex}", request, self._clock(), queue, self._behaviour.walk)
        self.all[job.id] = job
        return job

    def look(self, job: Job) -> None:
        """Let a job go one step on, as time does."""
        before = job.state
        if before in TERMINAL:
            return
        job.looks += 1
        if job.state == "Success":
            self._finish(job)
        elif job.state == "Failed" and not job.failure:
            job.failure = self._behaviour.message

    def resolved(self, job: Job) -> dict[str, str]:
        """Return the keys of the outputs, wildcards filled in."""
        suffix = job.request.config.get("Codec", "aac")
        return {
            node: key.replace("${jobid}", job.id).replace("${ext}", suffix) for node, key in job.request.outputs.items()
        }

    def describe(self, job: Job) -> str:
        """Return the node of a job."""
        unknown = "" if self._behaviour.empty_times else "-"
        is_over = job.state in TERMINAL
        started = unknown if job.state in ("Submitted", "Pause") else _moment(job.created)
        code = "InternalError" if job.state == "Failed" else "Success"
        message = f"<Message>{escape(job.failure)}</Message>" if job.failure else "<Message/>"
        return (
            f"<JobsDetail><Code>{code}</Code>{message}<JobId>{job.id}</JobId><State>{job.state}</State>"
            f"<CreationTime>{_moment(job.created)}</CreationTime><StartTime>{started}</StartTime>"
            f"<EndTime>{_moment(self._clock()) if is_over else unknown}</EndTime><QueueId>{job.queue}</QueueId>"
            f"<Tag>VoiceSeparate</Tag><Input><BucketId>b</BucketId><Object>{escape(job.request.source)}</Object>"
            f"<Region>r</Region></Input><Operation>{self._operation(job)}</Operation></JobsDetail>"
        )

    def _operation(self, job: Job) -> str:
        request = job.request
        says = self._behaviour.names_outputs
        keys = self.resolved(job) if job.state == "Success" and says == "resolved" else request.outputs if says else {}
        outputs = "".join(f"<{node}>{escape(key)}</{node}>" for node, key in keys.items())
        how = (
            f"<TemplateId>{request.template}</TemplateId><TemplateName>t</TemplateName>"
            if request.template
            else f"<VoiceSeparate><AudioMode>{request.mode}</AudioMode></VoiceSeparate>"
        )
        place = f"<Region>{request.fields['region']}</Region><Bucket>{request.fields['bucket']}</Bucket>"
        result = self._result(job) if job.made and self._behaviour.has_media_result else ""
        return (
            f"{how}<Output>{place}{outputs}</Output>{result}<UserData>{escape(request.user_data)}</UserData>"
            "<JobLevel>0</JobLevel>"
        )

    def _result(self, job: Job) -> str:
        keys = list(job.made.values())
        if not self._behaviour.vocals_first:
            keys.reverse()
        names = "".join(f"<ObjectName>{escape(key)}</ObjectName>" for key in keys)
        sums = "".join(
            f"<Md5Info><ObjectName>{escape(key)}</ObjectName><Md5>{job.sums[key]}</Md5></Md5Info>" for key in keys
        )
        return (
            "<MediaInfo><Format><Duration>1.0</Duration></Format><Stream><Audio/><Video/><Subtitle/></Stream></MediaInfo>"
            f"<MediaResult><OutputFile><ObjectPrefix/>{names}{sums if self._behaviour.has_md5 else ''}</OutputFile>"
            "</MediaResult>"
        )

    def _finish(self, job: Job) -> None:
        """Make the results; without source or audio the job fails."""
        song = self._store.objects.get(job.request.source)
        try:
            if song is None:
                raise NotAudioError("the input object is gone")
            outputs = self._separate(job, song.content)
        except NotAudioError as error:
            job.failure = str(error) or "no audio"
            return
        for node, key in self.resolved(job).items():
            if node in outputs:
                if node not in self._behaviour.lost_outputs:
                    self._store.put(key, outputs[node], "audio/flac")
                job.made[node] = key
                job.sums[key] = "0" * 32 if self._behaviour.wrong_md5 else md5_of(outputs[node])

    def _separate(self, job: Job, song: Blob) -> dict[str, Blob]:
        if self._behaviour.echo:
            copy = Blob.of(song.read())
            return dict.fromkeys(job.request.outputs, copy)
        return separate(song, job.request.mode, job.request.config)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+0800", time.gmtime(seconds + 8 * 3600))
