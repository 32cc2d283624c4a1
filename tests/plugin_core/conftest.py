"""The job store of a test: a SQLite file, and for the store's own tests a PostgreSQL database as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgresql import empty, postgresql

__all__ = ["postgresql"]


KINDS = ["sqlite", "shared"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try with both kinds of stores what a module says of any; ``sqlite`` and ``shared`` mark what is true of one."""
    if "store_place" in metafunc.fixturenames:
        is_of_both = getattr(metafunc.module, "ANY_STORE", False)
        only = [kind for kind in KINDS if metafunc.definition.get_closest_marker(kind) is not None]
        kinds = only or (KINDS if is_of_both else KINDS[:1])
        metafunc.parametrize("store_place", kinds, indirect=True)


@pytest.fixture
def store_place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where a job store of the kind in turn lies, empty."""
    if request.param == "sqlite":
        return tmp_path / "home" / "jobs.sqlite3"
    address: str = request.getfixturevalue("postgresql")
    empty(address)
    return address
