"""SQLAlchemy and Django on replicas of a real sqld: orm.py

What is not installed is left out, and says so. The library is the one that
SQLITE_REPLICA_PATH names.
"""

import asyncio
import concurrent.futures
import importlib.util
import itertools
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "packages" / "python"), str(ROOT / "tests" / "hosts")]
import run as hosts  # noqa: E402  (the folder is no package)

NUMBERS = itertools.count()


def needs(*packages):
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return unittest.skipIf(missing, f"not installed: {', '.join(missing)}")


class WithPrimary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.primary = hosts.Primary()
        cls.primary.__enter__()
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.primary.__exit__()
        cls.folder.cleanup()


@needs("sqlalchemy")
class SQLAlchemy(WithPrimary):
    def setUp(self):
        import sqlalchemy
        from sqlalchemy.dialects import registry

        # An installed package is found by its entry points.
        registry.register("sqlite.replica", "sqlite_replica.sqlalchemy", "Dialect")
        registry.register("sqlite.aioreplica", "sqlite_replica.sqlalchemy", "AsyncDialect")
        self.sa = sqlalchemy
        self.path = f"{self.folder.name}/{next(NUMBERS)}.db"
        metadata = sqlalchemy.MetaData()
        self.table = sqlalchemy.Table(
            f"sa{next(NUMBERS)}", metadata,
            sqlalchemy.Column("id", sqlalchemy.BigInteger().with_variant(sqlalchemy.Integer, "sqlite"), primary_key=True),
            sqlalchemy.Column("at", sqlalchemy.DateTime), sqlalchemy.Column("data", sqlalchemy.LargeBinary),
            sqlalchemy.Column("doc", sqlalchemy.JSON), sqlalchemy.Column("name", sqlalchemy.String, unique=True))
        self.metadata = metadata

    def url(self, scheme="sqlite+replica", more=""):
        return f"{scheme}:///{self.path}?sync_url={self.primary.url}{more}"

    def test_models_are_written_to_the_primary_and_read_from_the_file(self):
        import datetime

        from sqlalchemy import orm

        engine = self.sa.create_engine(self.url(more="&timeout=7&live=false"))
        self.addCleanup(engine.dispose)
        self.metadata.create_all(engine)
        Base = orm.declarative_base(metadata=self.metadata)
        Thing = type("Thing", (Base,), {"__table__": self.table})
        at, data = datetime.datetime(2024, 2, 29, 12, 30, 0, 5), bytes(range(256))
        with orm.Session(engine) as session:
            thing = Thing(at=at, data=data, doc={"a": [1, None]}, name="one")
            session.add(thing)
            session.flush()
            session.add_all(Thing(name=f"n{number}") for number in range(3))
            session.commit()
            key = thing.id
        with orm.Session(engine) as session:
            found = session.get(Thing, key)
            self.assertEqual((found.at, found.data, found.doc, found.name), (at, data, {"a": [1, None]}, "one"))
            found.name = "changed"
            session.rollback()
        self.assertEqual(self.primary.rows(f"SELECT name FROM {self.table.name} ORDER BY id"),
                         [("one",), ("n0",), ("n1",), ("n2",)])

    def test_a_pooled_connection_carries_no_transaction_to_the_next(self):
        engine = self.sa.create_engine(self.url(), pool_size=1, max_overflow=0)
        self.addCleanup(engine.dispose)
        self.metadata.create_all(engine)
        with engine.connect() as first:
            first.execute(self.table.insert(), {"name": "abandoned"})
        with engine.connect() as second:
            second.execute(self.table.insert(), {"name": "kept"})
            second.commit()
        self.assertEqual(self.primary.rows(f"SELECT name FROM {self.table.name}"), [("kept",)])

    def test_savepoints_inside_a_transaction(self):
        engine = self.sa.create_engine(self.url())
        self.addCleanup(engine.dispose)
        self.metadata.create_all(engine)
        with engine.connect() as connection:
            with connection.begin_nested():
                connection.execute(self.table.insert(), {"name": "inner"})
            self.assertEqual(self.primary.rows(f"SELECT count(*) FROM {self.table.name}"), [(0,)])
            with self.assertRaises(self.sa.exc.IntegrityError), connection.begin_nested():
                connection.execute(self.table.insert(), {"name": "inner"})
            connection.execute(self.table.insert(), {"name": "outer"})
            connection.commit()
        self.assertEqual(self.primary.rows(f"SELECT name FROM {self.table.name} ORDER BY id"), [("inner",), ("outer",)])

    def test_threads_on_one_engine(self):
        engine = self.sa.create_engine(self.url(), pool_pre_ping=True, pool_size=2, max_overflow=0)
        self.addCleanup(engine.dispose)
        self.metadata.create_all(engine)

        def insert(number):
            with engine.begin() as connection:
                connection.execute(self.table.insert(), {"name": f"t{number}"})
                return connection.scalar(self.sa.select(self.table.c.name).where(self.table.c.name == f"t{number}"))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.assertEqual(list(pool.map(insert, range(20))), [f"t{number}" for number in range(20)])
        self.assertEqual(self.primary.rows(f"SELECT count(*) FROM {self.table.name}"), [(20,)])

    def test_offline_in_the_url_goes_with_autocommit(self):
        refused = self.sa.create_engine(self.url(more="&offline=true"))
        self.assertRaisesRegex(self.sa.exc.NotSupportedError, "give isolation_level=None", refused.connect)
        engine = self.sa.create_engine(self.url(more="&offline=true"), connect_args={"isolation_level": None})
        self.addCleanup(engine.dispose)
        self.metadata.create_all(engine)
        self.primary.stop()
        with engine.connect() as connection:
            connection.execute(self.table.insert().values(name="queued").inline())
        self.primary.start()
        self.primary.execute("SELECT 1")
        with engine.connect() as connection:
            connection.connection.dbapi_connection.sync()
            self.assertEqual(connection.scalar(self.sa.select(self.table.c.name)), "queued")

    @needs("alembic")
    def test_alembic_rebuilds_a_table_that_others_point_at(self):
        from alembic.migration import MigrationContext
        from alembic.operations import Operations

        engine = self.sa.create_engine(self.url())
        self.addCleanup(engine.dispose)
        self.metadata.create_all(engine)
        name = self.table.name
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
            with context.begin_transaction(), Operations.context(context) as op:
                op.create_table(f"child{name}", self.sa.Column("parent", self.sa.Integer, self.sa.ForeignKey(f"{name}.id", ondelete="CASCADE")))
                op.bulk_insert(self.table, [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}])
                op.execute(f"INSERT INTO child{name} VALUES (1), (2)")
                with op.batch_alter_table(name) as batch:
                    batch.add_column(self.sa.Column("more", self.sa.Integer, server_default="5", nullable=False))
                    batch.alter_column("name", type_=self.sa.String(99), nullable=False)
                op.create_index(f"ix{name}", name, ["more"])
            connection.commit()
            connection.exec_driver_sql("PRAGMA foreign_keys = ON")
            columns = {column["name"]: column for column in self.sa.inspect(connection).get_columns(name)}
            indexes = [index["name"] for index in self.sa.inspect(connection).get_indexes(name)]
        self.assertEqual((columns["name"]["nullable"], columns["more"]["nullable"], indexes), (False, False, [f"ix{name}"]))
        self.assertEqual(self.primary.rows(f"SELECT name, more FROM {name} ORDER BY id"), [("one", 5), ("two", 5)])
        self.assertEqual(self.primary.rows(f"SELECT count(*) FROM child{name}"), [(2,)])

    @needs("aiosqlite", "greenlet")
    def test_an_async_engine(self):
        from sqlalchemy.ext.asyncio import create_async_engine

        async def story():
            engine = create_async_engine(self.url("sqlite+aioreplica"))
            async with engine.begin() as connection:
                await connection.run_sync(self.metadata.create_all)
                await connection.execute(self.table.insert(), {"name": "async"})

            async def one(number):
                async with engine.begin() as connection:
                    await connection.execute(self.table.insert(), {"name": f"async{number}"})

            await asyncio.gather(*map(one, range(5)))
            with self.assertRaises(self.sa.exc.IntegrityError):
                await one(0)

            async def endless(begun):
                async with engine.begin() as connection:
                    for number in itertools.count():
                        await connection.execute(self.table.insert(), {"name": f"cancelled{number}"})
                        begun.set()

            begun = asyncio.Event()
            task = asyncio.create_task(endless(begun))
            await begun.wait()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            async with engine.connect() as connection:
                rows = (await connection.execute(self.sa.select(self.table.c.name))).all()
            await engine.dispose()
            return rows

        self.assertEqual(sorted(asyncio.run(story())), [("async",), *[(f"async{number}",) for number in range(5)]])
        self.assertEqual(self.primary.rows(f"SELECT count(*) FROM {self.table.name}"), [(6,)])

    @needs("aiosqlite", "greenlet")
    def test_the_bare_extension_in_an_async_engine(self):
        import sqlite_replica
        from sqlalchemy.ext.asyncio import create_async_engine

        async def story():
            engine = create_async_engine(f"sqlite+aiosqlite:///{self.path}")

            @self.sa.event.listens_for(engine.sync_engine, "connect")
            def attach(connection, record):
                connection.run_async(sqlite_replica.load_async)
                connection.execute("SELECT replica_attach(?)", (self.primary.url,))

            async with engine.connect() as connection:
                rows = (await connection.execute(self.sa.text("SELECT item FROM orders"))).all()
            await engine.dispose()
            return rows

        self.assertEqual(asyncio.run(story()), [("lantern",)])


@needs("django")
class Django(WithPrimary):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        import django
        from django.conf import settings

        options = {"sync_url": cls.primary.url, "isolation_level": None}
        settings.configure(
            DATABASES={"default": {"ENGINE": "sqlite_replica.django", "NAME": f"{cls.folder.name}/django.db",
                                   "OPTIONS": options}},
            INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True)
        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def test_models_migrations_atomic_and_errors(self):
        from django.contrib.auth.models import Group, User
        from django.db import IntegrityError, transaction

        user = User.objects.create_user("ada", password="secret")
        user.groups.add(Group.objects.create(name="staff"))
        self.assertTrue(User.objects.get(groups__name="staff").check_password("secret"))
        with self.assertRaises(IntegrityError), transaction.atomic():
            User.objects.create_user("ada")
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            User.objects.create_user("gone")
            self.assertEqual(User.objects.count(), 2)
            raise ZeroDivisionError
        with transaction.atomic():
            User.objects.bulk_create(User(username=f"many{number}") for number in range(200))
            with transaction.atomic():
                User.objects.filter(username="many7").update(email="seven@example.org")
            with self.assertRaises(IntegrityError), transaction.atomic():
                User.objects.create_user("inner")
                User.objects.create_user("ada")
        self.assertEqual(self.primary.rows("SELECT count(*) FROM auth_user"), [(201,)])
        self.assertEqual(User.objects.get(email="seven@example.org").username, "many7")
        self.assertFalse(User.objects.filter(username="inner").exists())
        with transaction.atomic():
            inside = User.objects.values_list("date_joined", "is_active").get(username="ada")
        self.assertEqual(inside, (user.date_joined, True))
        self.assertEqual(User.objects.filter(username__regex=r"^many1\d$").count(), 10)
        self.assertEqual(User.objects.filter(date_joined__year__gte=2000).count(), 201)

    def test_a_migration_that_rebuilds_a_table_keeps_what_points_at_it(self):
        from django.db import connection, models

        class Author(models.Model):
            name = models.CharField(max_length=20)

            class Meta:
                app_label = "auth"

        class Book(models.Model):
            author = models.ForeignKey(Author, models.CASCADE)

            class Meta:
                app_label = "auth"

        with connection.schema_editor() as editor:
            editor.create_model(Author)
            editor.create_model(Book)
        Book.objects.create(author=Author.objects.create(name="one"))
        wider = models.TextField(default="")
        wider.set_attributes_from_name("name")
        wider.model = Author
        with connection.schema_editor() as editor:
            editor.alter_field(Author, Author._meta.get_field("name"), wider)
        self.assertEqual(self.primary.rows("SELECT count(*) FROM auth_book"), [(1,)])
        self.assertEqual(Book.objects.get().author.name, "one")


if __name__ == "__main__":
    unittest.main()
