// Kysely's SqliteDialect on better-sqlite3 and on a replica: kysely.mjs FOLDER replica.
// Each case of ours runs on both; what came out of better-sqlite3 is what is expected, an
// error as much as a row. The cases go through the subjects of Kysely's own test files.
import { assert, load, newFile, require, syncUrl, test } from "./place.mjs";

const { CamelCasePlugin, DeduplicateJoinsPlugin, Kysely, ParseJSONResultsPlugin, SqliteDialect, WithSchemaPlugin, sql } = await load("kysely");
const { Migrator } = await load("kysely/migration");
const { jsonArrayFrom, jsonBuildObject, jsonObjectFrom } = await load("kysely/helpers/sqlite");
const BetterSqlite3 = require("better-sqlite3");
const Database = require("sqlite-replica");

const sides = { plain: new BetterSqlite3(":memory:"), replica: new Database(newFile(), { syncUrl }) };
const kysely = (database, plugins = []) => new Kysely({ dialect: new SqliteDialect({ database }), plugins });
const dbs = Object.fromEntries(Object.entries(sides).map(([side, database]) => [side, kysely(database)]));
test.after(() => Promise.all(Object.values(dbs).map((db) => db.destroy())));

async function reset(db) {
  for (const name of ["toy", "pet", "person"]) await db.schema.dropTable(name).ifExists().execute();
  await db.schema.createTable("person").addColumn("id", "integer", (column) => column.primaryKey().autoIncrement())
    .addColumn("first_name", "varchar(255)").addColumn("last_name", "varchar(255)").addColumn("gender", "varchar(50)", (column) => column.notNull())
    .addColumn("children", "integer", (column) => column.notNull().defaultTo(0)).addUniqueConstraint("names", ["first_name", "last_name"]).execute();
  await db.schema.createTable("pet").addColumn("id", "integer", (column) => column.primaryKey().autoIncrement()).addColumn("name", "varchar(255)", (column) => column.unique().notNull())
    .addColumn("owner_id", "integer", (column) => column.references("person.id").onDelete("cascade").notNull()).addColumn("species", "varchar(50)").execute();
  const people = [["Jennifer", "Aniston", "female"], ["Arnold", "Schwarzenegger", "male"], ["Sylvester", "Stallone", "male"]];
  await db.insertInto("person").values(people.map(([first_name, last_name, gender]) => ({ first_name, last_name, gender }))).execute();
  await db.insertInto("pet").values(["Catto", "Doggo", "Hammo"].map((name, at) => ({ name, owner_id: at + 1, species: ["cat", "dog", "hamster"][at] }))).execute();
}

async function outcome(action, db, database) {
  try {
    return { value: await action(db, database) };
  } catch (error) {
    return { error: error.message, code: error.code };
  }
}

// What a case leaves in the tables counts too.
async function left(db) {
  const rows = async (name) => (await outcome(() => db.selectFrom(name).selectAll().execute(), db)).value;
  return [await rows("person"), await rows("pet"), await rows("toy")];
}

function same(name, action, mustWork = false) {
  test(name, async () => {
    const found = {};
    for (const [side, db] of Object.entries(dbs)) {
      await reset(db);
      found[side] = { ...(await outcome(action, db, sides[side])), left: await left(db) };
    }
    if (mustWork) assert.equal(found.plain.error, undefined);
    assert.deepEqual(found.replica, found.plain);
  });
}
// A case that better-sqlite3 must pass.
const works = (name, action) => same(name, action, true);
const people = (db) => db.selectFrom("person");
const arnold = { first_name: "Arnold", last_name: "Schwarzenegger", gender: "male" };

// select, where, order by, group by, having, join
works("select all", (db) => people(db).selectAll().execute());
works("select with alias", (db) => people(db).select(["first_name as f", "person.last_name as l"]).executeTakeFirst());
works("select an expression", (db) => people(db).select(({ fn, val, eb }) => [fn.count("id").as("n"), val("x").as("x"), eb("id", "+", 1).as("p")]).groupBy("id").execute());
works("select a subquery", (db) => people(db).select(({ selectFrom }) => selectFrom("pet").whereRef("owner_id", "=", "person.id").select("name").as("pet")).execute());
works("select distinct", (db) => people(db).select("gender").distinct().orderBy("gender").execute());
works("select without a table", (db) => db.selectNoFrom(({ val }) => val(7).as("seven")).execute());
works("select nothing", (db) => people(db).selectAll().where("id", "=", 0).execute());
same("take first or throw", (db) => people(db).selectAll().where("id", "=", 0).executeTakeFirstOrThrow());
for (const [operator, value] of [["=", "Arnold"], ["!=", "Arnold"], ["in", ["Arnold", "Sylvester"]], ["not in", ["Arnold"]], ["like", "%ld%"], ["is not", null], [">", "B"]]) {
  works(`where ${operator}`, (db) => people(db).select("id").where("first_name", operator, value).execute());
}
works("where and, or, not, exists", (db) => people(db).select("id").where((eb) => eb.or([eb("id", "=", 1), eb.and([eb("gender", "=", "male"), eb.not(eb("id", "=", 2))])]))
  .where(({ exists, selectFrom }) => exists(selectFrom("pet").select("pet.id").whereRef("owner_id", "=", "person.id"))).execute());
works("where between and a tuple", (db) => people(db).select("id").where(({ between }) => between("id", 1, 2)).where(({ eb, refTuple, tuple }) => eb(refTuple("first_name", "gender"), "in", [tuple("Arnold", "male")])).execute());
works("order, limit and offset", (db) => people(db).select("first_name").orderBy("gender", "desc").orderBy("first_name", (by) => by.desc().nullsLast()).limit(2).offset(1).execute());
works("group by and having", (db) => people(db).select(({ fn }) => ["gender", fn.countAll().as("n")]).groupBy("gender").having(({ fn }) => fn.count("id"), ">", 1).execute());
for (const kind of ["innerJoin", "leftJoin", "rightJoin", "fullJoin", "crossJoin"]) {
  works(kind, (db) => (kind === "crossJoin" ? people(db).crossJoin("pet") : people(db)[kind]("pet", (join) => join.onRef("owner_id", "=", "person.id").on("species", "!=", "cat"))).select(["first_name", "name"]).orderBy("first_name").orderBy("name").execute());
}
works("a join with a subquery", (db) => people(db).innerJoin((eb) => eb.selectFrom("pet").select(["owner_id", "name as n"]).as("p"), "p.owner_id", "person.id").select("n").execute());
for (const kind of ["union", "unionAll", "intersect", "except"]) works(kind, (db) => people(db).select("first_name as n")[kind](db.selectFrom("pet").select("name as n")).orderBy("n").execute());
works("with", (db) => db.with("men", (inner) => inner.selectFrom("person").where("gender", "=", "male").selectAll()).selectFrom("men").select("first_name").execute());
works("with recursive", (db) => db.withRecursive("n(i)", (inner) => inner.selectNoFrom(({ lit }) => lit(1).as("i")).unionAll(inner.selectFrom("n").select(({ eb }) => eb("i", "+", 1).as("i")).where("i", "<", 5))).selectFrom("n").selectAll().execute());
for (const name of ["avg", "count", "max", "min", "sum"]) works(`aggregate ${name}`, (db) => people(db).select(({ fn }) => [fn[name]("id").as("all"), fn[name]("id").filterWhere("gender", "=", "male").as("men"), fn[name]("id").over((over) => over.partitionBy("gender").orderBy("id")).as("over")]).groupBy("id").execute());
works("case, coalesce, cast", (db) => people(db).select(({ case: when, fn, cast, val }) => [when().when("gender", "=", "male").then("m").else("f").end().as("g"), fn.coalesce(val(null), "last_name").as("c"), cast("id", "text").as("t")]).execute());
works("json helpers", (db) => db.withPlugin(new ParseJSONResultsPlugin()).selectFrom("person").select(({ selectFrom, ref }) => [
  jsonArrayFrom(selectFrom("pet").select(["name", "species"]).whereRef("owner_id", "=", "person.id")).as("pets"),
  jsonObjectFrom(selectFrom("pet").select("name").whereRef("owner_id", "=", "person.id")).as("pet"), jsonBuildObject({ f: ref("first_name"), n: ref("id") }).as("o")]).execute());
works("json traversal", (db) => db.selectNoFrom(sql`'{"a":[1,{"b":"x"}]}' ->> '$.a[1].b'`.as("b")).execute());
works("explain", async (db) => (await people(db).where("id", "=", 1).selectAll().explain(undefined, sql`query plan`)).length > 0);
works("stream", async (db) => {
  const rows = [];
  for await (const row of people(db).select("first_name").orderBy("id").stream()) rows.push(row);
  return rows;
});
works("a stream that is left", async (db) => {
  for await (const row of people(db).select("first_name").stream()) if (row) break;
  return db.insertInto("person").values({ first_name: "After", gender: "other" }).executeTakeFirst();
});

// insert, replace, update, delete, merge
works("insert", (db) => db.insertInto("person").values({ first_name: "Foo", gender: "other" }).executeTakeFirst());
works("insert many", (db) => db.insertInto("person").values([{ first_name: "A", gender: "other", children: 1 }, { first_name: "B", gender: "male", children: 2 }]).execute());
works("insert from a query", (db) => db.insertInto("person").columns(["first_name", "gender"]).expression(db.selectFrom("pet").select(["name", sql.lit("other").as("gender")])).execute());
works("insert default values", async (db) => {
  await db.schema.createTable("toy").addColumn("id", "integer", (column) => column.primaryKey()).addColumn("x", "text", (column) => column.defaultTo("d")).execute();
  return db.insertInto("toy").defaultValues().execute();
});
works("insert returning", (db) => db.insertInto("person").values({ first_name: "Foo", gender: "other" }).returning(["id", "first_name"]).executeTakeFirst());
works("insert returning all", (db) => db.insertInto("person").values([{ first_name: "Foo", gender: "other" }, { first_name: "Bar", gender: "other" }]).returningAll().execute());
works("insert with a CTE", (db) => db.with("p", (inner) => inner.selectFrom("pet").select("name")).insertInto("person").columns(["first_name", "gender"]).expression((eb) => eb.selectFrom("p").select(["p.name", sql.lit("other").as("g")])).execute());
for (const action of ["ignore", "replace", "abort", "fail", "rollback"]) same(`insert or ${action}`, (db) => db.insertInto("pet").values({ name: "Catto", owner_id: 2, species: "cat" })[`or${action[0].toUpperCase()}${action.slice(1)}`]().executeTakeFirst());
works("insert or ignore after an insert keeps its id", async (db) => {
  await db.insertInto("pet").values({ name: "Fourth", owner_id: 1 }).execute();
  return db.insertInto("pet").orIgnore().values({ name: "Catto", owner_id: 2 }).executeTakeFirst();
});
works("on conflict do nothing", (db) => db.insertInto("pet").values({ name: "Catto", owner_id: 2 }).onConflict((conflict) => conflict.column("name").doNothing()).executeTakeFirst());
works("on conflict do update", (db) => db.insertInto("pet").values({ name: "Catto", owner_id: 2 }).onConflict((conflict) => conflict.column("name").doUpdateSet({ species: (eb) => eb.ref("excluded.name") }).where("pet.id", "<", 5)).returningAll().execute());
works("replace", (db) => db.replaceInto("pet").values({ id: 1, name: "New", owner_id: 2 }).executeTakeFirst());
same("insert without what is needed", (db) => db.insertInto("person").values({ first_name: "Foo" }).execute());
same("insert twice", (db) => db.insertInto("person").values(arnold).execute());
same("insert the same key", (db) => db.insertInto("person").values({ id: 1, gender: "other" }).execute());
same("insert into no table", (db) => db.insertInto("absent").values({ x: 1 }).execute());
works("update", (db) => db.updateTable("person").set({ children: 2, last_name: null }).where("gender", "=", "male").executeTakeFirst());
works("update with expressions", (db) => db.updateTable("person").set((eb) => ({ children: eb("id", "*", 10), last_name: eb.selectFrom("pet").whereRef("owner_id", "=", "person.id").select("name") })).execute());
works("update from", (db) => db.updateTable("person").from("pet").whereRef("pet.owner_id", "=", "person.id").set({ last_name: (eb) => eb.ref("pet.name") }).execute());
works("update returning", (db) => db.updateTable("person").set({ children: 1 }).where("id", "<", 3).returning(["id", "children"]).execute());
works("update or ignore", (db) => sql`update or ignore pet set name = ${"Catto"} where id < ${3}`.execute(db));
works("update nothing", (db) => db.updateTable("person").set({ children: 1 }).where("id", "=", 0).executeTakeFirst());
works("delete", (db) => db.deleteFrom("person").where("gender", "=", "female").executeTakeFirst());
works("delete returning", (db) => db.deleteFrom("pet").where("species", "in", ["cat", "dog"]).returningAll().execute());
works("delete with a subquery and a CTE", (db) => db.with("p", (inner) => inner.selectFrom("person").where("gender", "=", "male").select("id")).deleteFrom("pet").where("owner_id", "in", (eb) => eb.selectFrom("p").select("p.id")).executeTakeFirst());
same("delete with an order and a limit", (db) => db.deleteFrom("pet").orderBy("id").limit(1).returningAll().execute());
same("update with an order and a limit", (db) => db.updateTable("pet").set({ species: "x" }).orderBy("id").limit(1).returningAll().execute());

// values
for (const [name, value] of [["a text", "ä€😀'\"?"], ["a number", 1.5], ["an integer", 42], ["a bigint", 9007199254740993n], ["a buffer", Buffer.from([0, 255])], ["null", null], ["no bytes", Buffer.from([])]]) {
  works(`${name} comes back`, async (db) => {
    await db.schema.createTable("toy").addColumn("x", "blob").execute();
    await db.insertInto("toy").values({ x: value }).execute();
    return db.selectFrom("toy").select(["x", sql`typeof(x)`.as("t"), sql`${value}`.as("y")]).execute();
  });
}
for (const [name, value] of [["a Date", new Date(0)], ["an object", { a: 1 }], ["NaN", NaN], ["a symbol", Symbol.iterator]]) {
  same(`${name} as a value`, (db) => db.selectNoFrom(sql`${value}`.as("x")).execute());
  same(`${name} as a value that is written`, (db) => db.updateTable("person").set({ last_name: value }).where("id", "=", 1).execute());
}

// transactions
works("a transaction", (db) => db.transaction().execute(async (inner) => {
  const { id } = await inner.insertInto("person").values({ first_name: "In", gender: "other" }).returning("id").executeTakeFirstOrThrow();
  return inner.insertInto("pet").values({ name: "Within", owner_id: id }).returningAll().execute();
}));
same("a transaction that throws", (db) => db.transaction().execute(async (inner) => {
  await inner.deleteFrom("person").execute();
  throw new Error("no");
}));
same("a transaction with an error that goes on", (db) => db.transaction().execute(async (inner) => {
  await inner.insertInto("person").values(arnold).execute().catch(() => {});
  return inner.insertInto("person").values({ first_name: "On", gender: "other" }).execute();
}));
works("a transaction sees its own schema", (db) => db.transaction().execute(async (inner) => {
  await inner.schema.createTable("toy").addColumn("x", "text").execute();
  await inner.insertInto("toy").values({ x: "y" }).execute();
  return inner.selectFrom("toy").selectAll().execute();
}));
works("a controlled transaction with savepoints", async (db) => {
  const transaction = await db.startTransaction().execute();
  await transaction.insertInto("person").values({ first_name: "One", gender: "other" }).execute();
  const saved = await transaction.savepoint("one").execute();
  await saved.insertInto("person").values({ first_name: "Two", gender: "other" }).execute();
  await saved.rollbackToSavepoint("one").execute();
  await saved.releaseSavepoint("one").execute();
  await transaction.commit().execute();
});
works("a controlled transaction that is rolled back", async (db) => {
  const transaction = await db.startTransaction().execute();
  await transaction.deleteFrom("pet").execute();
  await transaction.rollback().execute();
});
same("a transaction used after its end", async (db) => {
  const transaction = await db.startTransaction().execute();
  await transaction.commit().execute();
  return transaction.selectFrom("pet").selectAll().execute();
});

// schema, introspection, migrations, raw SQL, plugins
works("create and alter a table", async (db) => {
  await db.schema.createTable("toy").ifNotExists().addColumn("a", "integer", (column) => column.primaryKey()).addColumn("b", "text", (column) => column.check(sql`length(b) < 5`).notNull())
    .addColumn("c", "integer", (column) => column.generatedAlwaysAs(sql`a + 1`).stored()).addCheckConstraint("positive", sql`a > 0`).execute();
  await db.schema.alterTable("toy").addColumn("d", "text", (column) => column.defaultTo("x")).execute();
  await db.schema.alterTable("toy").renameColumn("b", "bb").execute();
  await db.insertInto("toy").values({ a: 1, bb: "ok" }).execute();
  await db.schema.alterTable("toy").dropColumn("d").execute();
});
same("a CHECK that fails", async (db) => {
  await db.schema.createTable("toy").addColumn("a", "integer", (column) => column.check(sql`a > 0`)).execute();
  return db.insertInto("toy").values({ a: 0 }).execute();
});
works("create table as", (db) => db.schema.createTable("toy").as(db.selectFrom("pet").select(["name", "species"])).execute());
works("a temporary table", async (db) => {
  await db.schema.createTable("scratch").temporary().addColumn("x", "integer").execute();
  await db.insertInto("scratch").values({ x: 1 }).execute();
  const rows = await db.selectFrom("scratch").selectAll().execute();
  await db.schema.dropTable("scratch").execute();
  return rows;
});
works("indexes", async (db) => {
  await db.schema.createIndex("pet_species").on("pet").columns(["species", "name desc"]).where("species", "!=", "x").execute();
  await db.schema.createIndex("pet_unique").unique().on("pet").expression(sql`lower(name)`).execute();
  await db.schema.dropIndex("pet_species").ifExists().execute();
  await db.schema.dropIndex("pet_unique").execute();
});
works("views", async (db) => {
  await db.schema.createView("men").as(db.selectFrom("person").select("first_name").where("gender", "=", "male")).execute();
  const rows = await db.selectFrom("men").selectAll().execute();
  await db.schema.dropView("men").execute();
  return rows;
});
works("a temporary view", async (db) => {
  await db.schema.createView("females").temporary().as(db.selectFrom("person").selectAll().where("gender", "=", "female")).execute();
  const rows = await db.selectFrom("females").selectAll().execute();
  await db.schema.dropView("females").execute();
  return rows;
});
same("a table twice", (db) => db.schema.createTable("pet").addColumn("x", "text").execute());
same("drop what is not there", (db) => db.schema.dropTable("absent").execute());
works("introspection", async (db) => {
  await db.schema.createView("men").as(db.selectFrom("person").selectAll().where("gender", "=", "male")).execute();
  const tables = await db.introspection.getTables();
  await db.schema.dropView("men").execute();
  return tables.filter(({ name }) => ["person", "pet", "men"].includes(name)).map((table) => JSON.parse(JSON.stringify(table)));
});
works("migrations up and down", async (db) => {
  const step = (name) => ({ up: (inner) => inner.schema.createTable(name).addColumn("x", "text").execute(), down: (inner) => inner.schema.dropTable(name).execute() });
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ one: step("first_step"), two: step("toy") }) } });
  const results = [await migrator.migrateToLatest(), await migrator.migrateDown(), await migrator.migrateToLatest(), await migrator.migrateDown(), await migrator.migrateDown()];
  for (const name of ["kysely_migration", "kysely_migration_lock"]) await db.schema.dropTable(name).execute();
  return results.map(({ error, results: all }) => [String(error), all]);
});
works("a migration that fails leaves nothing", async (db) => {
  const provider = { getMigrations: async () => ({ one: { up: async (inner) => { await inner.schema.createTable("toy").addColumn("x", "text").execute(); throw new Error("no"); } } }) };
  const { error } = await new Migrator({ db, provider }).migrateToLatest();
  for (const name of ["kysely_migration", "kysely_migration_lock"]) await db.schema.dropTable(name).ifExists().execute();
  return error.message;
});
works("raw SQL", (db) => sql`select ${sql.ref("first_name")}, ${"x"} as x, ${sql.lit(3)} as three from ${sql.table("person")} where id in (${sql.join([1, 2])})`.execute(db));
works("raw SQL that writes", (db) => sql`update person set children = ${7} where id = ${2}`.execute(db));
works("raw SQL that returns", (db) => sql`/* first */ insert into person(first_name, gender) values (${"Raw"}, 'other') -- then\n returning id`.execute(db));
works("a pragma", (db) => sql`pragma table_info(pet)`.execute(db));
same("raw nonsense", (db) => sql`syntax error`.execute(db));
works("quotes in names and values", async (db) => {
  await db.schema.createTable('to"y').addColumn('x"\'', "text").execute();
  await db.insertInto('to"y').values({ 'x"\'': "it's; -- \"so\"" }).execute();
  const rows = await db.selectFrom('to"y').selectAll().execute();
  await db.schema.dropTable('to"y').execute();
  return rows;
});
works("camel case", (db) => db.withPlugin(new CamelCasePlugin()).insertInto("person").values({ firstName: "Camel", gender: "other" }).returningAll().execute());
works("joins that are the same", (db) => db.withPlugin(new DeduplicateJoinsPlugin()).selectFrom("person").innerJoin("pet", "owner_id", "person.id").innerJoin("pet", "owner_id", "person.id").select("name").execute());
works("with a schema", (db) => db.withSchema("main").updateTable("pet").set({ species: "s" }).returningAll().execute());
works("with a schema by plugin", (db) => db.withPlugin(new WithSchemaPlugin("main")).selectFrom("pet").selectAll().execute());
works("a thousand rows at once", (db) => db.insertInto("person").values(Array.from({ length: 1000 }, (_, at) => ({ first_name: `n${at}`, gender: "other" }))).executeTakeFirst());
works("many queries at once", (db) => Promise.all(Array.from({ length: 50 }, (_, at) => (at % 2 ? people(db).select("id").where("id", "=", (at % 3) + 1).execute() : db.updateTable("person").set({ children: at }).where("id", "=", 1).execute()))));
