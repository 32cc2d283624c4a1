"""Jobs made by hand, for tests of what shows them."""

from __future__ import annotations

from pathlib import Path

from plugin_core.model import Job, JobState, Problem, Progress, Separation, Source, Stem


def make_job(
    state: JobState,
    *,
    job_id: str = "0192-a",
    path: Path = Path("/music/Song.flac"),
    fraction: float | None = None,
    note: str = "",
    exit_code: int = 1,
    notes: tuple[str, ...] = (),
    problem: Problem | None = None,
    progress: Progress | None = None,
) -> Job:
    """Return a job in a state, with stems when done and a problem when failed."""
    has_problem = state in (JobState.FAILED, JobState.UNCONFIRMED)
    stems = tuple(
        Stem(name=name, label=name, path=path.with_suffix(".stems") / f"{name}.flac", size=1, sha256="")
        for name in ("vocals", "other")
    )
    return Job(
        id=job_id,
        state=state,
        operation=Separation(provider="fake", model="halves"),
        source=Source(
            path=path,
            device=1,
            inode=1,
            size=1,
            mtime_ns=1,
            content="",
            duration=200.0,
            frames=1,
            channels=2,
            sample_rate=44100,
            encoding="pcm_16",
        ),
        account="fake",
        dedupe=job_id,
        created=0.0,
        updated=0.0,
        progress=progress or (Progress(fraction=fraction, note=note) if fraction is not None or note else None),
        notes=notes,
        stems=stems if state is JobState.DONE else (),
        problem=problem or Problem(kind="ServiceError", message="out of luck", remedy="try luck", exit_code=exit_code)
        if has_problem
        else problem,
    )
