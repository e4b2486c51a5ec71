"""Databases for the tests: SQLite always, PostgreSQL where CALLCOACH_TEST_POSTGRESQL says one is."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.store import Store
from pipeline.store.migrations import SQL

# A shell without job control starts what it puts in the background deaf to Ctrl-C; some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
POSTGRESQL = os.environ.get("CALLCOACH_TEST_POSTGRESQL")
NO_POSTGRESQL = "CALLCOACH_TEST_POSTGRESQL is not set; try tests/postgresql.sh run make unit"


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """What a test does about Ctrl-C, as the command line does when it ends, ends with the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    hook = sys.unraisablehook
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


@pytest.fixture
def postgresql() -> str:
    """Address of an empty PostgreSQL database."""
    if not POSTGRESQL:
        pytest.skip(NO_POSTGRESQL)
    engine = sa.create_engine(sa.make_url(POSTGRESQL).set(drivername="postgresql+pg8000"))
    with engine.begin() as connection:
        for name in (*SQL, "migrations"):
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {name}"))
    engine.dispose()
    return POSTGRESQL


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "callcoach.db")
    return str(request.getfixturevalue("postgresql"))


@pytest.fixture
def store(address: str):
    """An empty store in a database of each kind."""
    with Store.open(address) as opened:
        yield opened
