// Java's sqlite-jdbc (xerial): story LIBRARY URL DATABASE

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.sqlite.SQLiteConfig;
import org.sqlite.SQLiteErrorCode;
import org.sqlite.SQLiteException;

public class Story {
    static String library, url;

    static Connection openReplica(String path, String options) throws SQLException {
        SQLiteConfig config = new SQLiteConfig();
        config.enableLoadExtension(true);
        Connection db = config.createConnection("jdbc:sqlite:" + path);
        value(db, "SELECT load_extension(?)", library);
        value(db, "SELECT replica_attach(?, NULL, ?)", url, options);
        return db;
    }

    /** The first column of the first row. */
    static String value(Connection db, String sql, Object... arguments) throws SQLException {
        try (PreparedStatement statement = db.prepareStatement(sql)) {
            for (int at = 0; at < arguments.length; at++) {
                statement.setObject(at + 1, arguments[at]);
            }
            try (ResultSet row = statement.executeQuery()) {
                return row.next() ? row.getString(1) : null;
            }
        }
    }

    /** Runs one statement on the primary; it is readable here afterwards. The result is JSON. */
    static String write(Connection db, String sql, Object argument) throws SQLException {
        return value(db, "SELECT replica_write(?, ?)", sql, argument);
    }

    static void check(boolean ok, Object what) {
        if (!ok) throw new AssertionError(what);
    }

    public static void main(String[] arguments) throws SQLException {
        library = arguments[0];
        url = arguments[1];
        String database = arguments[2];

        Connection db = openReplica(database, "{}");
        System.out.println("step: load " + value(db, "SELECT replica_version()"));
        System.out.println("step: attach " + value(db, "SELECT frame_no FROM replica_status"));

        check(value(db, "SELECT item FROM orders WHERE id = ?", 7).equals("lantern"), "read");
        System.out.println("step: read");

        String insert = "INSERT INTO orders(item) VALUES (?)";
        String written = write(db, insert, "kite");
        check(written.contains("\"rows_affected\":1"), written);
        check(value(db, "SELECT id FROM orders WHERE item = ?", "kite").equals("8"), "own write");
        System.out.println("step: write");

        written = write(db, insert + " RETURNING id", "drum");
        check(value(db, "SELECT ? ->> '$.rows[0][0]'", written).equals("9"), written);
        System.out.println("step: returning");

        try {
            write(db, insert, "kite");
            throw new AssertionError("no SQLiteException");
        } catch (SQLiteException error) {
            check(error.getResultCode() == SQLiteErrorCode.SQLITE_CONSTRAINT_UNIQUE, error.getResultCode());
            System.out.println("step: constraint " + error.getMessage());
        }

        try (Statement statement = db.createStatement()) {
            statement.executeUpdate("INSERT INTO orders(item) VALUES ('stray')");
            throw new AssertionError("a plain write was not refused");
        } catch (SQLiteException error) {
            check(error.getResultCode() == SQLiteErrorCode.SQLITE_READONLY, error.getResultCode());
            System.out.println("step: readonly " + error.getMessage());
        }

        Connection other = openReplica(database + "-other", "{}");
        write(other, insert, "rope");
        value(db, "SELECT replica_sync()");
        check(value(db, "SELECT count(*) FROM orders WHERE item = 'rope'").equals("1"), "sync");
        System.out.println("step: sync");

        db.close();
        db = openReplica(database, "{\"live\": true}");
        written = write(other, insert, "flute");
        value(db, "SELECT replica_wait(? ->> 'frame_no', 10)", written);
        check(value(db, "SELECT count(*) FROM orders WHERE item = 'flute'").equals("1"), "live");
        System.out.println("step: live");

        db.close();
        other.close();
    }
}
