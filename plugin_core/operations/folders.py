"""What a separation's job wishes, where its stems go, and the folders in which its parts are worked on until then."""

from __future__ import annotations

from pathlib import Path

from plugin_core.errors import PlacementError, UsageError
from plugin_core.model import Job, Separation, Source, show_path
from plugin_core.operations.orders import Orders
from plugin_core.stems.staging_folder import choose_staging, hidden_neighbour, make_staging, remove_staging


def wish_of(job: Job) -> Separation:
    """Return the operation of a job.

    Raises:
        UsageError: it is no separation.
    """
    if not isinstance(job.operation, Separation):
        raise UsageError(f"job {job.id} is no separation")
    return job.operation


def destination_of(job: Job) -> Path:
    """Return the folder a job's stems are placed under."""
    return destination_of_wish(job.source, wish_of(job))


def destination_of_wish(source: Source, wish: Separation) -> Path:
    """Return the folder that the stems of a source are placed under."""
    return wish.to or source.path.parent


class JobFolders:
    """The folders of jobs whose results go into the song itself.

    Args:
        home: stembridge's home, for staging.
        orders: say where a provider's own files lie.
    """

    parts = ""
    """Name in staging of the folder of an engine on this machine; "" for staging itself."""

    def __init__(self, home: Path, orders: Orders) -> None:
        self._home = home
        self._orders = orders

    def staging(self, job: Job) -> Path:
        """Return the private folder of a job; nothing is created."""
        return job.staging or self._home / "staging" / job.id

    def own(self, job: Job) -> Path:
        """Return the folder of an engine on this machine, which goes with its job."""
        return self.staging(job) / self.parts

    def make(self, job: Job) -> Path:
        """Make the folders of a job, there already is fine, and return its private one.

        Raises:
            PlacementError: one cannot be made.
            TransientError: the disk is full or away.
        """
        staging = self.staging(job)
        make_staging(staging)
        make_staging(self._orders.folder(job, staging / self.parts))
        return staging

    def remove(self, job: Job) -> None:
        """Remove all folders of a job.

        Raises:
            PlacementError: one stays.
        """
        self._orders.remove_unused(job)
        remove_staging(self.staging(job))


class Folders(JobFolders):
    """The folders of separations.

    Args:
        home: stembridge's home, for staging.
        orders: say where a provider's own files lie.
        is_beside: whether all lie beside the stems' place, which every machine sees that works on the job.
    """

    parts = "parts"

    def __init__(self, home: Path, orders: Orders, *, is_beside: bool = False) -> None:
        super().__init__(home, orders)
        self._is_beside = is_beside

    def staging(self, job: Job) -> Path:
        from plugin_core.stems.layout import find_staging

        # What is staged stays where it is, also when the disk it was to be near is away now.
        known = job.staging or find_staging(job.id, job.staged)
        return known or choose_staging(None if self._is_beside else self._home, job.id, destination_of(job))

    def prepare(self, job: Job, needed: int) -> None:
        """Check place and room for the stems of a job, and make its folders.

        Args:
            job: that is to begin.
            needed: bytes it takes at most.

        Raises:
            PlacementError: the destination is missing, not writable or too full.
        """
        from plugin_core.stems.staging_folder import check_destination, check_space

        destination = destination_of(job)
        check_destination(destination)
        check_space(destination, needed)
        self.make(job)

    def remove(self, job: Job) -> None:
        """Put back an earlier result that was set aside, and remove all folders of a job.

        Raises:
            PlacementError: one stays.
        """
        from plugin_core.stems.layout import read_layout
        from plugin_core.stems.publication import hidden_folders, restore_aside

        self._orders.remove_unused(job)
        staging, destination = self.staging(job), destination_of(job)
        restore_aside(staging, destination)
        layout = read_layout(staging, job.staged)
        folders = {staging, hidden_neighbour(staging, destination)}
        if layout is not None:
            folders |= hidden_folders(layout, destination, staging)
        # No generator: one that stays must not keep the others.
        stay = [folder for folder in sorted(folders) if not remove_staging(folder)]
        if stay:
            raise PlacementError(f"{show_path(stay[0])} cannot be removed", remedy="remove it by hand")
