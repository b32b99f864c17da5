"""SQLAlchemy over Python's sqlite3: story LIBRARY URL DATABASE

Queries of the ORM are local reads; writes are calls of replica_write."""

import json
import sys

from sqlalchemy import create_engine, event, func, insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

LIBRARY, URL, DATABASE = sys.argv[1:4]


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(unique=True)


def replica_engine(path, options="{}"):
    """Every connection of the pool is attached when it is opened."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def attach(connection, record):
        connection.enable_load_extension(True)
        connection.load_extension(LIBRARY)
        connection.enable_load_extension(False)
        connection.execute("SELECT replica_attach(?, NULL, ?)", (URL, options))

    return engine


def write(session, sql, *args):
    """Runs one statement on the primary; it is readable here afterwards."""
    return json.loads(session.scalar(select(func.replica_write(sql, *args))))


engine = replica_engine(DATABASE)
with Session(engine) as session:
    print("step: load", session.scalar(select(func.replica_version())))
    print("step: attach", session.scalar(text("SELECT frame_no FROM replica_status")))

    assert session.get(Order, 7).item == "lantern"
    print("step: read")

    written = write(session, "INSERT INTO orders(item) VALUES (?)", "kite")
    assert written["rows_affected"] == 1, written
    assert session.scalars(select(Order).where(Order.item == "kite")).one().id == 8
    print("step: write")

    assert write(session, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum")["rows"] == [[9]]
    print("step: returning")

    try:
        write(session, "INSERT INTO orders(item) VALUES (?)", "kite")
        sys.exit("no IntegrityError")
    except IntegrityError as error:
        print("step: constraint", error.orig)

with Session(engine) as session:
    try:
        session.execute(insert(Order).values(item="stray"))
        sys.exit("a plain write was not refused")
    except OperationalError as error:
        assert "readonly" in str(error), error
        print("step: readonly", error.orig)

other = replica_engine(DATABASE + "-other")
with Session(engine) as session, Session(other) as elsewhere:
    write(elsewhere, "INSERT INTO orders(item) VALUES (?)", "rope")
    session.scalar(select(func.replica_sync()))
    assert session.scalars(select(Order).where(Order.item == "rope")).one()
    print("step: sync")

engine.dispose()
engine = replica_engine(DATABASE, '{"live": true}')
with Session(engine) as session, Session(other) as elsewhere:
    session.connection()
    frame_no = write(elsewhere, "INSERT INTO orders(item) VALUES (?)", "flute")["frame_no"]
    session.scalar(select(func.replica_wait(frame_no, 10)))
    assert session.scalars(select(Order).where(Order.item == "flute")).one()
    print("step: live")

engine.dispose()
other.dispose()
