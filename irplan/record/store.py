"""The database: where it lies, how it is made, and its two kinds of transaction.

A reading sees one moment of the record. A writing holds the record for itself from its first
statement (``BEGIN IMMEDIATE`` on SQLite, an advisory lock on PostgreSQL), so that two programs
that write at once still make one chain.
"""

from __future__ import annotations

import getpass
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from platformdirs import user_data_path
from sqlalchemy.engine import URL, Connection, Engine, make_url

from irplan.documents import envelope
from irplan.errors import CallError, InputRefused
from irplan.record.chain import AuditEntry, next_entry
from irplan.record.tables import REVISION, AuditRow

STORE_VARIABLE = "IRPLAN_STORE"
DEFAULT_FILE = "record.sqlite"

#: How long a writer waits for another before it gives up, seconds.
BUSY_TIMEOUT_S = 30
#: Any fixed number of our own: PostgreSQL locks by number.
_ADVISORY_LOCK = 0x6972706C616E
_POSTGRES = "postgresql+psycopg"


def utc_now() -> str:
    """The time of an audit entry: UTC with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def current_actor() -> str:
    """Who runs the program, as the operating system names them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


@dataclass(frozen=True)
class Store:
    """An open record.

    Attributes:
        shown: its address without a password, for messages and documents.
        file: the SQLite file, or ``None`` for a server.
        clock: gives the time of an entry.
    """

    engine: Engine
    shown: str
    file: Path | None
    clock: Callable[[], str] = utc_now

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees the record at one moment.

        Raises:
            InputRefused: there is no record here, it cannot be reached or read, or its tables
                are of another version of the program.
        """
        self._refuse_absent()
        with _told_plainly(self), self._transaction(writing=False) as connection:
            self._refuse_other_revision(connection)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is alone in the record; it is kept where the block ends well.

        Raises:
            InputRefused: as :meth:`reading`, or another program holds the record too long.
        """
        self._refuse_absent()
        with _told_plainly(self), self._transaction(writing=True) as connection:
            self._refuse_other_revision(connection)
            yield connection

    def close(self) -> None:
        """Give back the connections."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self, *, writing: bool) -> Iterator[Connection]:
        with self.engine.connect().execution_options(irplan_writing=writing) as connection:
            if self.engine.dialect.name == "postgresql" and not writing:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                if self.engine.dialect.name == "postgresql" and writing:
                    connection.execute(
                        sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
                    )
                yield connection

    def _refuse_absent(self) -> None:
        if self.file is not None and not self.file.is_file():
            raise _absent(self)

    def _refuse_other_revision(self, connection: Connection) -> None:
        found = revision_of(connection)
        if found is None:
            raise _absent(self)
        if found != REVISION:
            raise InputRefused(
                "record_other_version",
                f"{self.shown}: the record has tables of revision {found}, this program works "
                f"with {REVISION}",
                "'irplan record init' takes an older record on; a newer one needs a newer irplan",
            )


def default_url() -> str:
    """Where the record lies when nobody says otherwise: IRPLAN_STORE, or the user's data folder."""
    named = os.environ.get(STORE_VARIABLE, "").strip()
    return named or f"sqlite:///{user_data_path('irplan', appauthor=False) / DEFAULT_FILE}"


def open_store(url: str | None = None, clock: Callable[[], str] = utc_now) -> Store:
    """The record at ``url`` (a database URL or the path of an SQLite file). Nothing is made yet.

    Raises:
        CallError: not a database that a record can lie in, or its driver is not installed.
    """
    text = (url or default_url()).strip()
    address = _address(text)
    file = None
    if address.get_backend_name() == "sqlite":
        if not address.database or address.database == ":memory:" or address.query:
            raise CallError(
                "record_needs_a_file",
                f"'{text}' names no file that a record can be kept in",
                "give a path, or sqlite:///PATH",
            )
        file = Path(address.database)
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_TIMEOUT_S}} if file else {}
    try:
        engine = sa.create_engine(address, poolclass=sa.NullPool, **options)
    except ModuleNotFoundError as error:
        raise CallError(
            "driver_absent",
            f"the driver for {address.drivername} is not installed: {error.name}",
            "install irplan with its 'postgres' extra",
        ) from error
    if file:
        _control_sqlite_transactions(engine)
    return Store(engine, address.render_as_string(hide_password=True), file, clock)


def _address(text: str) -> URL:
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        address = make_url(text)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise CallError("store_url", "the address of the record cannot be read") from error
    if address.drivername == "postgresql":
        address = address.set(drivername=_POSTGRES)
    if address.drivername not in ("sqlite", "sqlite+pysqlite", _POSTGRES):
        raise CallError(
            "store_url",
            f"a record cannot lie in a database of the kind '{address.drivername}'",
            f"give sqlite:///PATH or {_POSTGRES}://…",
        )
    return address


def _control_sqlite_transactions(engine: Engine) -> None:
    """Let SQLAlchemy, not the driver, begin transactions: the driver begins them too late."""

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        # Without it, INSERT OR REPLACE takes a row away without asking the delete trigger.
        connection.execute("PRAGMA recursive_triggers = ON")
        connection.execute("PRAGMA synchronous = FULL")

    @sa.event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("irplan_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def revision_of(connection: Connection) -> str | None:
    """The migration that the database stands at; ``None`` where it holds no record."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def last_entry(connection: Connection) -> AuditEntry | None:
    """The newest audit entry."""
    table = AuditRow.__table__
    row = connection.execute(sa.select(table).order_by(table.c.sequence.desc()).limit(1)).first()
    return AuditEntry(**row._mapping) if row else None


def append_entry(
    connection: Connection,
    clock: Callable[[], str],
    actor: str,
    action: str,
    payload: Mapping[str, Any],
) -> AuditEntry:
    """Add an entry to the chain within a writing."""
    entry = next_entry(last_entry(connection), clock(), actor, action, payload)
    connection.execute(sa.insert(AuditRow), vars(entry))
    return entry


def init_record(store: Store, actor: str | None = None) -> dict[str, Any]:
    """Make the tables where there are none, or bring an older record up to date.

    Returns:
        ``irplan.record_init/1``: store, revision, created, head, entries.

    Raises:
        InputRefused: the place cannot be written or reached, or holds another database.
    """
    _make_file(store)
    with _told_plainly(store), store._transaction(writing=True) as connection:
        before = revision_of(connection)
        _refuse_foreign_tables(store, connection, before)
        if before != REVISION:
            migrate(store, connection)
            who = actor or current_actor()
            if before is None:
                payload = {"record": uuid.uuid4().hex, "revision": REVISION}
                append_entry(connection, store.clock, who, "record_made", payload)
            else:
                moved = {"from": before, "to": REVISION}
                append_entry(connection, store.clock, who, "record_migrated", moved)
        last = last_entry(connection)
    return envelope(
        "record_init",
        {
            "store": store.shown,
            "revision": REVISION,
            "created": before is None,
            "entries": last.sequence if last else 0,
            "head": last.hash if last else None,
        },
    )


def migrate(store: Store, connection: Connection) -> None:
    """Run the migrations up to this program's revision inside ``connection``'s transaction."""
    # Loaded only here: it takes longer than everything else that the record does.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    # '%' would be read as an interpolation.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, REVISION)
    except CommandError as error:
        raise InputRefused(
            "record_other_version",
            f"{store.shown}: the record was made by another version of irplan: {error}",
            "use the irplan that made it, or a newer one",
        ) from error


def _make_file(store: Store) -> None:
    """An empty file that only its owner may read: a record is about patients."""
    if store.file is None or store.file.exists():
        return
    try:
        store.file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(store.file, os.O_CREAT | os.O_RDWR, 0o600)
        os.close(handle)
    except OSError as error:
        raise InputRefused(
            "cannot_write",
            f"{store.file}: the record cannot be made there: {error.strerror}",
            "choose another place with --store",
        ) from error


def _refuse_foreign_tables(store: Store, connection: Connection, revision: str | None) -> None:
    if revision is None and (tables := sa.inspect(connection).get_table_names()):
        raise InputRefused(
            "not_a_record",
            f"{store.shown}: the database holds other tables ({', '.join(tables[:3])}) and no "
            "record",
            "give a database of its own to the record",
        )


def _absent(store: Store) -> InputRefused:
    return InputRefused(
        "record_absent",
        f"{store.shown}: there is no record here",
        f"make one with 'irplan record init', or name another by --store or {STORE_VARIABLE}",
    )


@contextmanager
def _told_plainly(store: Store) -> Iterator[None]:
    """Turn a database's complaint about the place, not about the statement, into a refusal."""
    try:
        yield
    except sa.exc.OperationalError as error:
        cause = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no answer"
        if "locked" in cause or "busy" in cause:
            raise InputRefused(
                "record_busy", f"{store.shown}: another program holds the record", "try again"
            ) from error
        raise InputRefused(
            "record_unreachable",
            f"{store.shown}: the record cannot be reached: {cause}",
            "check --store, the server and the rights on the file",
        ) from error
    except sa.exc.DatabaseError as error:
        # SQLite says so of a file that is no database, or a damaged one.
        if "not a database" in str(error.orig) or "malformed" in str(error.orig):
            raise InputRefused(
                "not_a_record",
                f"{store.shown}: this is not a readable record: {error.orig}",
                "name another by --store, or take it back from a backup",
            ) from error
        raise
