"""Orders over HTTP: Flask, SQLAlchemy and gunicorn on a replica.

    pip install flask gunicorn sqlalchemy dist/sqlite_replica-*.whl
    REPLICA_URL=http://127.0.0.1:8080 gunicorn -c gunicorn_conf.py flask_app:app
"""

import os

from flask import Flask, request
from sqlalchemy import create_engine, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

# The token is taken from REPLICA_TOKEN. Nobody waits longer than 5 s for the primary.
engine = create_engine(
    f"sqlite+replica:///{os.environ.get('APP_DB', 'app.db')}",
    connect_args={"sync_url": os.environ["REPLICA_URL"], "options": {"timeout": 5}},
)
app = Flask(__name__)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]


@app.get("/orders")
def orders():
    """From the file: also while the primary is down."""
    with Session(engine) as session:
        return list(session.scalars(select(Order.item).order_by(Order.id)))


@app.post("/orders")
def add():
    """On the primary; every worker reads it when this returns."""
    with Session(engine) as session:
        order = Order(item=request.get_json()["item"])
        session.add(order)
        session.commit()
        return {"id": order.id}, 201


@app.get("/health")
def health():
    """For a load balancer: what the file holds is older than 15 s, and why."""
    with engine.connect() as connection:
        healthy, trouble = connection.exec_driver_sql("SELECT healthy, trouble FROM replica_health(NULL, 15)").one()
        return {"trouble": trouble}, 200 if healthy else 503


@app.errorhandler(IntegrityError)
def conflict(error):
    return {"error": str(error.orig)}, 409


@app.errorhandler(OperationalError)
def unavailable(error):
    return {"error": str(error.orig)}, 503
