//! Migrations as Drizzle, Prisma and Rails generate them: rows that point to a
//! table that is rebuilt are still there afterwards.

mod common;

use std::path::PathBuf;

use common::*;

fn blog() -> (Sqld, TempDir, PathBuf, Shell) {
    let sqld = Sqld::start();
    sqld.execute(
        "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT); \
         CREATE TABLE msgs(id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users(id) \
         ON DELETE CASCADE, body TEXT); \
         INSERT INTO users VALUES (1, 'ada'), (2, 'bob'); \
         INSERT INTO msgs VALUES (1, 1, 'hello'), (2, 2, 'hi')",
    );
    let (folder, db) = empty_place();
    let shell = Shell::attached(&db, &sqld.url());
    (sqld, folder, db, shell)
}

/// drizzle-kit, for a column that becomes NOT NULL.
const DRIZZLE: &str = "PRAGMA foreign_keys=OFF;--> statement-breakpoint
CREATE TABLE `__new_users` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL
);
--> statement-breakpoint
INSERT INTO `__new_users`(\"id\", \"name\") SELECT \"id\", \"name\" FROM `users`;--> statement-breakpoint
DROP TABLE `users`;--> statement-breakpoint
ALTER TABLE `__new_users` RENAME TO `users`;--> statement-breakpoint
PRAGMA foreign_keys=ON;";

/// prisma migrate, for the same.
const PRISMA: &str = "-- RedefineTables
PRAGMA defer_foreign_keys=ON;
PRAGMA foreign_keys=OFF;
CREATE TABLE \"new_users\" (
    \"id\" INTEGER NOT NULL PRIMARY KEY,
    \"name\" TEXT NOT NULL
);
INSERT INTO \"new_users\" (\"id\", \"name\") SELECT \"id\", \"name\" FROM \"users\";
DROP TABLE \"users\";
ALTER TABLE \"new_users\" RENAME TO \"users\";
PRAGMA foreign_keys=ON;
PRAGMA defer_foreign_keys=OFF;
";

/// Rails, change_column_null: a copy, the table anew, the copy back.
const RAILS: &str = "PRAGMA foreign_keys = OFF;
PRAGMA defer_foreign_keys = ON;
begin deferred transaction;
CREATE TEMPORARY TABLE \"ausers\" (\"id\" integer NOT NULL PRIMARY KEY, \"name\" varchar NOT NULL);
INSERT INTO \"ausers\" (\"id\",\"name\") SELECT \"id\",\"name\" FROM \"users\";
DROP TABLE \"users\";
CREATE TABLE \"users\" (\"id\" integer NOT NULL PRIMARY KEY, \"name\" varchar NOT NULL);
INSERT INTO \"users\" (\"id\",\"name\") SELECT \"id\",\"name\" FROM \"ausers\";
DROP TABLE \"ausers\";
commit transaction;
PRAGMA defer_foreign_keys = 0;
PRAGMA foreign_keys = 1;";

#[test]
fn generated_migrations_keep_every_row() {
    for migration in [DRIZZLE, PRISMA, RAILS] {
        let (sqld, _folder, db, mut shell) = blog();
        let report = shell.json(&format!("SELECT replica_migrate({})", quoted(migration)));
        assert_eq!(report["synced"], true, "{migration}: {report}");
        assert_eq!(shell.run("SELECT group_concat(body) FROM msgs"), "hello,hi", "{migration}");
        assert_eq!(sqld.scalar("SELECT count(*) FROM users WHERE name IN ('ada', 'bob')"), "2");
        let refused = shell.error("SELECT replica_write('INSERT INTO users VALUES (3, NULL)')");
        assert!(refused.contains("NOT NULL constraint failed"), "{refused}");
        // Keys are on again, for this connection and for everybody.
        let refused = shell.error("SELECT replica_write('INSERT INTO msgs VALUES (9, 99, 1)')");
        assert!(refused.contains("FOREIGN KEY constraint failed"), "{refused}");
        assert_eq!(sqld.scalar("SELECT count(*) FROM pragma_foreign_key_check"), "0");
        let left = "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%new%' OR name = 'ausers'";
        assert_eq!(sqld.scalar(left), "0", "{migration}");
        assert_replica_equals_primary(&db, &sqld);
    }
}

#[test]
fn a_step_that_fails_undoes_the_migration() {
    let (sqld, _folder, db, mut shell) = blog();
    let before = sqld.scalar("SELECT group_concat(sql) FROM sqlite_schema");
    for (migration, error) in [
        (
            "PRAGMA foreign_keys=OFF; CREATE TABLE a(x); CREATE TABLE a(y); PRAGMA foreign_keys=ON",
            "statement 2 of 2: SQL input error: table a already exists",
        ),
        ("CREATE TABLE a(x); INSERT INTO users VALUES (1, 'x')", "statement 2 of 2: UNIQUE"),
        (
            "DELETE FROM users WHERE id = 2",
            "1 rows of msgs would point to rows of users that are not there",
        ),
        ("CREATE TABLE a(x); SELECT ?", "step 2: the statement has 1 parameter"),
        ("PRAGMA foreign_keys=OFF; BEGIN; COMMIT", "there is no step in the migration"),
        ("CREATE TABLE a(x); ROLLBACK; CREATE TABLE b(x)", "ROLLBACK cannot stand here"),
    ] {
        let found = shell.error(&format!("SELECT replica_migrate({})", quoted(migration)));
        assert!(found.contains(error), "{migration}: {found}");
        assert_eq!(
            sqld.scalar("SELECT group_concat(sql) FROM sqlite_schema"),
            before,
            "{migration}"
        );
        assert_eq!(sqld.scalar("SELECT count(*) FROM msgs"), "2", "{migration}");
    }
    // Nobody waits for a lock that was left behind.
    shell.run("SELECT replica_write('INSERT INTO users VALUES (3, ''eve'')')");
    assert_replica_equals_primary(&db, &sqld);
}

#[test]
fn what_pointed_into_nothing_before_is_not_the_migrations_fault() {
    let (sqld, _folder, _db, mut shell) = blog();
    sqld.execute("PRAGMA foreign_keys=off; INSERT INTO msgs VALUES (7, 77, 'stray')");
    let stray = sqld.scalar("SELECT count(*) FROM pragma_foreign_key_check");
    shell.json(&format!("SELECT replica_migrate({})", quoted(DRIZZLE)));
    assert_eq!(sqld.scalar("SELECT count(*) FROM pragma_foreign_key_check"), stray);
}

#[test]
fn switching_keys_off_where_that_has_no_effect_is_refused_before_anything_is_sent() {
    let (sqld, _folder, _db, mut shell) = blog();
    let frame_no = sqld.frame_no();
    let script = quoted(DRIZZLE);
    for call in [
        format!("replica_write({script})"),
        "replica_write('PRAGMA foreign_keys = OFF')".to_owned(),
        "replica_write('/* x */ pragma main.\"Foreign_Keys\"(0)')".to_owned(),
        "replica_write('DROP TABLE users; PRAGMA defer_foreign_keys=ON')".to_owned(),
        "replica_write_args('PRAGMA foreign_keys=0', '[]')".to_owned(),
        "replica_write_many('[\"PRAGMA foreign_keys=0\", \"DROP TABLE users\"]')".to_owned(),
        "replica_batch('PRAGMA foreign_keys=0')".to_owned(),
        "* FROM replica_write('PRAGMA foreign_keys=0')".to_owned(),
    ] {
        let error = shell.error(&format!("SELECT {call}"));
        assert!(error.contains("call replica_migrate(text)"), "{call}: {error}");
        shell.run("SELECT replica_begin()");
        let error = shell.error(&format!("SELECT {call}"));
        assert!(error.contains("call replica_migrate(text)"), "{call}: {error}");
        shell.run("SELECT replica_rollback()");
    }
    assert_eq!(sqld.frame_no(), frame_no);
    assert_eq!(shell.run("SELECT replica_write('PRAGMA foreign_keys') ->> '$.rows[0][0]'"), "1");
    let error = shell.ask("SELECT replica_begin(); SELECT replica_migrate('CREATE TABLE a(x)')");
    assert!(error.contains("a transaction is open"), "{error}");
}
