"""Where the jobs of some settings are: their store, the folder they are worked on in, and what it calls folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from plugin_core.errors import ServiceError, SettingsError, StoreError
from plugin_core.settings import Settings, expand_user

if TYPE_CHECKING:
    from plugin_core.files.depot import Depot
    from plugin_core.files.path_map import PathMap
    from plugin_core.jobs.store import JobStore
    from plugin_core.purchases.shelf import Shelf

STORE_NAME: Final = "jobs.sqlite3"
_MEND: Final = "mount it, or correct the settings file"


def open_store(settings: Settings, clock: Callable[[], float], patience: float | None) -> JobStore:
    """Open the job store, made where there is none.

    Raises:
        SettingsError: ``[jobs]`` or ``[paths]`` is wrong.
        StoreError: it cannot be opened.
    """
    from plugin_core.jobs.policy import JobsSettings
    from plugin_core.jobs.store import JobStore

    jobs = settings.section("jobs", JobsSettings)
    address = jobs.database.reveal()
    paths = read_paths(settings, is_shared=bool(address))
    place = address or settings.home / STORE_NAME
    if address:
        _refuse_second(settings.home / STORE_NAME)
    return JobStore(place, clock=clock, lease=jobs.lease_seconds, patience=patience, paths=paths)


def _refuse_second(path: Path) -> None:
    """Refuse to leave jobs and purchases of a file behind: what was bought would be bought again.

    Raises:
        StoreError: there are some.
    """
    if not path.exists():
        return
    from plugin_core.jobs.store import JobStore

    with JobStore(path, is_moving=True) as file:
        if file.is_elsewhere or not (file.list(limit=1) or file.purchases.list(limit=1)):
            return
    raise StoreError(
        f"{path} holds jobs or purchases beside those of [jobs] database",
        remedy="`stembridge jobs migrate postgresql` moves them there; or move the file away",
    )


def migrate_store(settings: Settings, *, is_shared: bool) -> dict[str, int]:
    """Move all jobs and purchases from the file in the home to ``[jobs] database``, or back; return how many of each.

    Raises:
        SettingsError: no database is named, or the other machines could not find a song.
        StoreError: somebody works on a job, or two stores would be mixed.
    """
    from plugin_core.jobs.migration import migrate
    from plugin_core.jobs.policy import JobsSettings
    from plugin_core.jobs.store import JobStore

    address = settings.section("jobs", JobsSettings).database.reveal()
    if not address:
        raise SettingsError(
            "[jobs] database names no database to move jobs to or from",
            remedy="write it as postgresql://user:password@host:5432/name",
        )
    file = JobStore(settings.home / STORE_NAME, paths=read_paths(settings), is_moving=True)
    with file, JobStore(address, paths=read_paths(settings, is_shared=True), is_moving=True) as shared:
        if not is_shared:
            return migrate(shared, file)
        counts, shelf = migrate(file, shared), open_shelf(settings)
        if shelf.depot is not None or shelf.home != settings.home:
            shelf.take_over(settings.home, shared.purchases)
        return counts


def has_store(settings: Settings) -> bool:
    """Tell whether there is a job store already."""
    return (settings.home / STORE_NAME).exists() or has_workers(settings)


def has_workers(settings: Settings) -> bool:
    """Tell whether machines share the store: then workers work on the jobs, and everybody else looks on."""
    from plugin_core.jobs.policy import JobsSettings

    return bool(settings.section("jobs", JobsSettings).database)


def work_folder(settings: Settings) -> Path:
    """Return where results are worked on and kept: the folder ``[jobs] staging``, else the home.

    Raises:
        SettingsError: it is not there.
    """
    return _places(settings)[0]


def _places(settings: Settings) -> tuple[Path, Depot | None]:
    """Return the folder of results that are worked on, and the bucket in which they are kept."""
    from plugin_core.files.path_map import check_place

    place = _staging(settings)
    if not place or _is_bucket(place):
        return settings.home, _open_depot(settings, place) if place else None
    folder = _as_folder(place)
    wrong = "no such user" if folder is None else check_place(folder)
    if folder is None or wrong:
        raise SettingsError(f"{settings.place_of('jobs', 'staging')}: {wrong}", remedy=_MEND)
    return folder, None


def open_shelf(settings: Settings) -> Shelf:
    """Return where results are kept, in whose home they are worked on.

    Raises:
        SettingsError: ``[jobs] staging`` is wrong, or its bucket's service is no address that may be spoken to.
    """
    from plugin_core.purchases.shelf import Shelf

    return Shelf(*_places(settings))


def _open_depot(settings: Settings, place: str) -> Depot:
    from plugin_core.files.depot import Depot, S3Settings
    from plugin_core.transfer.addresses import check_url

    service = settings.section("s3", S3Settings)
    try:
        if service.endpoint_url:
            check_url(service.endpoint_url)
        return Depot(place, service)
    except (ServiceError, SettingsError) as error:
        key = ("jobs", "staging") if isinstance(error, SettingsError) else ("s3", "endpoint_url")
        raise SettingsError(f"{settings.place_of(*key)}: {error.message}", remedy=error.remedy) from error


def _staging(settings: Settings) -> str:
    from plugin_core.jobs.policy import JobsSettings

    return settings.section("jobs", JobsSettings).staging


def _is_bucket(place: str) -> bool:
    return place.startswith("s3://")


def read_paths(settings: Settings, *, is_shared: bool = False) -> PathMap:
    """Return the section ``paths``: folders here by their names in the store.

    Args:
        settings: the user's.
        is_shared: whether other machines read the store.

    Raises:
        SettingsError: a name or folder is wrong, missing, or within another.
    """
    from plugin_core.files.path_map import STAGING, UNMAPPED, PathMap, check_folder

    folders: dict[str, Path] = {}
    for name, value in settings.table("paths").items():
        folder = _as_folder(value)
        wrong = "expected the path of a folder" if folder is None else check_folder(name, folder, folders)
        if folder is None or wrong:
            raise SettingsError(f"{settings.place_of('paths', name)}: {wrong}", remedy=_MEND)
        folders[name] = folder
    work = work_folder(settings)
    if work != settings.home:
        folders[STAGING] = work
    paths = PathMap(folders, is_shared=is_shared) if folders or is_shared else UNMAPPED
    if not (paths.sees(work) or _is_bucket(_staging(settings))):
        # Else it would come out when results are placed: after they were paid for.
        raise SettingsError(
            f"{settings.place_of('jobs', 'database')}: is of use only with [jobs] staging, where all machines work on"
            " results",
            remedy="let staging name a folder on the share of the songs, or a bucket, on each machine",
        )
    return paths


def _as_folder(value: object) -> Path | None:
    try:
        return expand_user(value) if isinstance(value, str) else None
    except ValueError:
        return None
