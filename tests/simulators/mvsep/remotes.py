"""``separation/get-remote``: links the service fetches, really so on loopback."""

from __future__ import annotations

import re
import shutil
import urllib.request
from dataclasses import replace
from urllib.parse import quote, urlsplit

from tests.simulators.blobs import Blob
from tests.simulators.messages import Answer, Request, json_answer
from tests.simulators.mvsep.creation import check_length, take
from tests.simulators.mvsep.jobs import RemoteJob
from tests.simulators.mvsep.media import NotAudioError, measure
from tests.simulators.mvsep.refusals import RefusedError
from tests.simulators.mvsep.service import MvsepSimulator
from tests.simulators.mvsep.walks import TERMINAL, Step


def get_remote(service: MvsepSimulator, request: Request) -> Answer:
    """Say how far the fetching of a link is; at its end stands the hash of the real job."""
    remote = service.remotes.get(request.query.get("hash", ""))
    if remote is None or remote.node != request.node:
        return _missing()
    with service.lock:
        if remote.misses > 0:
            remote.misses -= 1
            return _missing("Your file is being downloaded, please wait" if remote.misses % 2 else "File not found")
        step = remote.walker.poll(service.clock())
    if step.status not in TERMINAL:
        return json_answer({"success": True, "status": step.status, "data": step.data})
    _finish(service, remote, step)
    if remote.job is None:
        return json_answer({"success": True, "status": "failed", "data": {"message": remote.failure}})
    job = remote.job
    link = f"{service.urls[job.node]}/api/separation/get?hash={job.hash}"
    return json_answer({"success": True, "status": "done", "data": {"hash": job.hash, "link": link}})


def advance_remotes(service: MvsepSimulator, token: str) -> None:
    """Let links of an account come one step further: the service does not wait for polls of them."""
    for remote in [one for one in service.remotes.values() if one.order.token == token and one.is_active]:
        with service.lock:
            remote.misses = max(0, remote.misses - 1)
            step = remote.walker.poll(service.clock())
        if step.status in TERMINAL and not remote.misses:
            _finish(service, remote, step)


def _finish(service: MvsepSimulator, remote: RemoteJob, step: Step) -> None:
    if not remote.is_active:
        return
    try:
        if step.status == "failed" or remote.order.behaviour.remote_failure:
            raise RefusedError(remote.order.behaviour.remote_failure or step.data["message"])
        content = _fetch(service, remote)
        seconds = measure(content).seconds
        with service.lock:
            account = service.accounts[remote.order.token]
            check_length(account, seconds)
            if remote.is_active:
                order = replace(remote.order, upload=content, digest=content.sha256(), seconds=seconds)
                remote.job = take(service, account, order, remote.node)
    except (OSError, NotAudioError, RefusedError) as error:
        remote.failure = remote.failure or str(error)


def _fetch(service: MvsepSimulator, remote: RemoteJob) -> Blob:
    """Fetch a link, which must lead to this machine.

    Raises:
        OSError: it cannot be fetched.
    """
    url = quote(remote.order.url, safe=":/?&=%+#@[]~,;")
    parts = urlsplit(url)
    host = parts.hostname or ""
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    if host != "localhost" and not re.fullmatch(r"127[.\d]+|::1", host):
        raise OSError(f"a simulator fetches nothing from {host}")
    path = service.folder / "bodies" / f"link-{remote.hash}"
    with urllib.request.urlopen(url, timeout=30) as answer, path.open("wb") as target:
        shutil.copyfileobj(answer, target)
    return Blob.file(path)


def _missing(text: str = "File or File Hash not found") -> Answer:
    return json_answer({"success": False, "status": "not_found", "data": {"message": text}})
