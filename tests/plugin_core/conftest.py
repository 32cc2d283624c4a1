"""The job store of a test: a SQLite file, and for the store's own tests a PostgreSQL database as well."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgresql import empty, postgresql

__all__ = ["postgresql"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try with both kinds of stores what a module says of any; ``sqlite`` marks what is true of a file alone."""
    if "store_place" in metafunc.fixturenames:
        is_of_both = getattr(metafunc.module, "ANY_STORE", False)
        is_of_file = metafunc.definition.get_closest_marker("sqlite") is not None
        kinds = ["sqlite", "postgresql"] if is_of_both and not is_of_file else ["sqlite"]
        metafunc.parametrize("store_place", kinds, indirect=True)


@pytest.fixture
def store_place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Return where a job store of the kind in turn lies, empty."""
    if request.param == "sqlite":
        return tmp_path / "home" / "jobs.sqlite3"
    address: str = request.getfixturevalue("postgresql")
    empty(address)
    return address
