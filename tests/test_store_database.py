"""The database under the store: migrations, addresses, full disks, servers that go away."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import struct
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.errors import OutputError
from pipeline.store import Store, database, migrations, shown_address
from tests.test_store import counts, make_failure, make_result

TESTS = Path(__file__).parent
SERVER = os.environ.get("CALLCOACH_TEST_POSTGRESQL_DIR")


def store_of_version_1(address: str) -> None:
    """Make what the program wrote before runs were recorded: one call, and one failure."""
    kind = "postgresql" if "://" in address else "sqlite"
    statements = (TESTS / "stores" / f"v1_{kind}.sql").read_text(encoding="utf-8")
    if kind == "sqlite":
        with sqlite3.connect(address) as connection:
            connection.executescript(statements)
        connection.close()
        return
    engine = sa.create_engine(sa.make_url(address).set(drivername="postgresql+pg8000"))
    with engine.begin() as connection:
        for statement in statements.split(";\n"):
            connection.exec_driver_sql(statement) if statement.strip() else None
    engine.dispose()


@pytest.fixture
def server() -> Callable[[str], None]:
    """Stop, start or restart the private server of the tests as a crash would."""
    if not SERVER:
        pytest.skip("CALLCOACH_TEST_POSTGRESQL_DIR is not set; try tests/postgresql.sh run ...")

    def control(action: str) -> None:
        command = [TESTS / "postgresql.sh", action, SERVER]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return control


def test_a_store_of_version_1_is_brought_up_to_date(address: str):
    store_of_version_1(address)
    for _ in range(2):
        with Store.open(address) as store:
            old = store.frame("calls").set_index("call_id").loc["c1"]
            assert old["agent_talk_s"] == 20.5
            turns = store.frame("turns")
            mine = turns[(turns["speaker"] == "agent") & turns["speaking_rate"].notna()]
            assert old["agent_rated_s"] == pytest.approx((mine["end"] - mine["start"]).sum())
            assert old[["agent_loudness_lufs", "customer_interruptions_successful"]].isna().all()
            assert store.load("c1") == make_result(turns=2)
            known = store.known(["c1", "broken"])  # found by place, with what is known of it
            assert known["c1"].recording == make_result().recording
            assert known["broken"].identity is None
            assert store.ids_at([make_result().recording.path]) == {
                make_result().recording.path: "c1"
            }
            assert store.frame("failures")["call_id"].tolist() == ["broken"]
            assert store.runs() == []
            assert old[["slug", "week"]].tolist() == ["c1", "2026-W11"]
            assert old[["settings_hash", "rubric_hash"]].tolist() == ["s1", "r1"]
    with Store.open(address) as store:
        measured = {"agent_loudness_lufs": -23.5, "customer_interruptions_successful": 2}
        store.save(make_result("c2", measures=measured))
        store.save_failure(make_failure("c1"))
        new = store.frame("calls").set_index("call_id").loc["c2"]
        assert new[list(measured)].tolist() == [-23.5, 2]
        assert store.begin_run(1) == 1


def test_an_old_and_a_new_store_have_the_same_tables(address: str, tmp_path: Path):
    def described(where: str) -> dict[str, set[str]]:
        with Store.open(where) as store:
            found = sa.inspect(store._engine)
            return {
                table: {
                    f"{c['name']} {c['type']} {c['nullable']}" for c in found.get_columns(table)
                }
                for table in found.get_table_names()
            }

    new = described(address)
    if "://" in address:
        with Store.open(address) as store, database.writing(store._engine) as connection:
            for name in new:
                connection.execute(sa.text(f"DROP TABLE {name}"))
    else:
        address = str(tmp_path / "old.db")
    store_of_version_1(address)
    assert described(address) == new
    assert {"runs", "migrations", "calls"} <= set(new)


def test_a_migration_is_applied_with_its_record_or_not_at_all(store: Store):
    store.save(make_result())

    def broken(connection: sa.Connection) -> None:
        connection.execute(sa.text("CREATE TABLE half (a TEXT)"))
        raise RuntimeError("stopped")

    def whole(connection: sa.Connection) -> None:
        connection.execute(sa.text("ALTER TABLE calls ADD COLUMN later TEXT"))

    known = migrations.MIGRATIONS
    with pytest.raises(RuntimeError, match="stopped"):
        migrations.migrate(store._engine, (*known, broken))
    assert "half" not in sa.inspect(store._engine).get_table_names()
    for _ in range(2):
        migrations.migrate(store._engine, (*known, whole))
    assert "later" in {c["name"] for c in sa.inspect(store._engine).get_columns("calls")}
    assert store.load("c1") == make_result()
    with pytest.raises(OutputError, match="newer program"):
        migrations.migrate(store._engine, known)


def test_a_newer_store_is_refused(address: str):
    Store.open(address).close()
    with Store.open(address) as store, database.writing(store._engine) as connection:
        connection.execute(
            migrations.APPLIED.insert(), [{"version": 99, "name": "x", "applied_at": "x"}]
        )
    with pytest.raises(OutputError, match="newer program"):
        Store.open(address)


def test_files_that_are_no_store_are_refused(tmp_path: Path):
    path = tmp_path / "notes.db"
    path.write_text("this is a text file, not a database\n" * 100)
    with pytest.raises(OutputError, match="not a database"):
        Store.open(path)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(OutputError, match="another program"):
        Store.open(other)


def test_places_that_cannot_be_written_are_refused(tmp_path: Path):
    blocker = tmp_path / "file"
    blocker.write_text("x")
    with pytest.raises(OutputError, match="cannot be made"):
        Store.open(blocker / "sub" / "callcoach.db")
    with pytest.raises(OutputError, match="no store"):
        Store.open(tmp_path / "missing.db", create=False)
    Store.open(tmp_path / "callcoach.db").close()
    with pytest.raises(OutputError, match=r"readonly.*may write"):
        Store.open(f"sqlite:///file:{tmp_path}/callcoach.db?mode=ro&uri=true")


def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path):
    with Store.open(tmp_path) as store:
        store.save(make_result("c1"))
        before = counts(store)

        def limit(connection, _record):
            connection.execute("PRAGMA max_page_count = 1")  # SQLite keeps the present size

        store._engine.dispose()
        sa.event.listen(store._engine, "connect", limit)
        with pytest.raises(OutputError, match=r"full.*Free some space"):
            store.save(make_result("c2", turns=2000))
        assert counts(store) == before


def test_on_a_full_disk_the_store_stays_readable_and_goes_on_later(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no small disk can be mounted here")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(400_000))
        with Store.open(disk) as store, store.exclusive():
            saved = []
            with pytest.raises(OutputError, match="Free some space"):  # noqa: PT012
                for i in range(1000):
                    store.save(make_result(f"c{i}", turns=30))
                    saved.append(f"c{i}")
            assert store.frame("calls")["call_id"].tolist() == sorted(saved)
            assert len(store.load(saved[-1]).turns) == 30
            with Store.open(disk, create=False) as reader:
                assert reader.count("turns") == 30 * len(saved)
            ballast.unlink()
            store.save(make_result("later", turns=30))
        with Store.open(disk) as store:
            assert counts(store)["turns"] == 30 * (len(saved) + 1)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_holds_the_store_by_its_usual_name(tmp_path: Path):
    Store.open(tmp_path).close()
    assert (tmp_path / "callcoach.db").exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://localhost/x", "not supported"),
        ("postgresql://nobody:secret@127.0.0.1:1/x", "server runs"),
    ],
)
def test_bad_addresses_are_refused_without_showing_the_password(url: str, message: str):
    with pytest.raises(OutputError, match=message) as caught:
        Store.open(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("postgresql://me:secret@host/x", "postgresql+pg8000://me:***@host/x"),
        ("out/callcoach.db", "out/callcoach.db"),
    ],
)
def test_addresses_are_shown_without_the_password(target: str, shown: str):
    assert shown_address(target) == shown


def test_a_server_that_crashes_within_a_transaction_costs_nothing(
    postgresql: str, server: Callable[[str], None]
):
    crashes = iter(["restart"])

    def crash(connection, cursor, statement, *_):
        if statement.startswith("INSERT INTO verdicts"):
            for action in crashes:
                server(action)

    with Store.open(postgresql) as store, store.exclusive():
        run = store.begin_run(3)
        store.save(make_result("before"))
        server("restart")
        assert "before" in store.known(["before"])
        server("restart")
        store.update_run(run, done=1, unchanged=0, failed=0, audio_s=61.25)
        sa.event.listen(store._engine, "before_cursor_execute", crash)
        store.save(make_result("within"))
        assert next(crashes, None) is None
        assert store.load("within") == make_result("within")
        assert counts(store)["turns"] == 8
        holder = store.writer()
        assert holder is not None
        assert holder.pid == os.getpid()


def test_an_administrator_who_ends_all_sessions_costs_nothing(postgresql: str):
    ended = []

    def end_all(connection, cursor, statement, *_):
        if statement.startswith("INSERT INTO verdicts") and not ended:
            cursor.execute("SELECT pg_backend_pid()")
            ended.append(cursor.fetchone()[0])
            with other._engine.begin() as administrator:
                administrator.execute(
                    sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": ended[0]}
                )

    with Store.open(postgresql) as store, Store.open(postgresql) as other:
        sa.event.listen(store._engine, "before_cursor_execute", end_all)
        store.save(make_result())
        assert ended
        assert store.load("c1") == make_result()
        assert counts(store)["turns"] == 4


def test_a_server_that_is_away_is_waited_for(postgresql: str, server: Callable[[str], None]):
    with Store.open(postgresql) as store:
        server("stop")
        back = threading.Timer(2, server, ["start"])
        back.start()
        store.save(make_result())
        back.join()
        assert store.load("c1") == make_result()


def test_a_server_that_stays_away_is_said(
    postgresql: str, server: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "PATIENCE_S", 1.0)
    with Store.open(postgresql) as store:
        server("stop")
        try:
            with pytest.raises(OutputError, match="server runs"):
                store.save(make_result())
        finally:
            server("start")
        assert store.count("calls") == 0


def test_a_server_that_resets_connections_is_waited_for_and_said(monkeypatch: pytest.MonkeyPatch):
    """A server that is going down accepts a connection and drops it: no error of the driver's own."""
    monkeypatch.setattr(database, "PATIENCE_S", 1.0)
    asked = []

    def reset(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the test is over
            while True:
                connection, _ = listener.accept()
                asked.append(connection.recv(1))
                linger = struct.pack("ii", 1, 0)  # close by a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=reset, args=(listener,), daemon=True).start()
        address = f"postgresql://callcoach:x@127.0.0.1:{listener.getsockname()[1]}/x"
        with pytest.raises(OutputError, match=r"reset by peer.*server runs"):
            Store.open(address)
        assert len(asked) == 1
        url = database.address(address, create=False)
        with (
            Store(database.connect(url)) as opened,
            pytest.raises(OutputError, match="reset by peer"),
        ):
            opened.count("calls")
        assert len(asked) > 2
        listener.shutdown(socket.SHUT_RDWR)


def test_a_run_that_lost_its_lock_to_another_says_so(
    postgresql: str, server: Callable[[str], None]
):
    with Store.open(postgresql) as first, Store.open(postgresql) as second, first.exclusive():
        server("restart")
        with (
            second.exclusive(),
            pytest.raises(OutputError, match=r"Another run is writing .*process"),
        ):
            first.save(make_result())
        first.save(make_result())
        with pytest.raises(OutputError, match="Another run"), second.exclusive():
            pass


def test_starts_of_older_calls_are_brought_into_business_time(store: Store):
    monday = "2026-03-15T16:30:00+00:00"  # 00:30 in Shanghai, a Sunday in UTC and in London
    for call_id, zone in (("c1", None), ("c2", "Europe/London")):
        result = make_result(call_id)
        recording = replace(result.recording, started_at=monday)
        made = replace(result.provenance, settings_hash=call_id)
        store.save(replace(result, recording=recording, provenance=made))
        if zone:
            store.keep_document("settings", call_id, f'{{"time":{{"zone":"{zone}"}}}}')
    assert store.frame("calls")["week"].tolist() == ["2026-W11"] * 2
    with database.writing(store._engine) as connection:
        migrations._business_time(connection)
    calls = store.frame("calls")
    assert calls["week"].tolist() == ["2026-W12", "2026-W11"]
    assert calls["started_at"].tolist() == [
        "2026-03-16T00:30:00+08:00",
        "2026-03-15T16:30:00+00:00",
    ]
    assert store.load("c1").recording.started_at == "2026-03-16T00:30:00+08:00"
    assert store.known(["c1"])["c1"].recording.started_at == "2026-03-16T00:30:00+08:00"
