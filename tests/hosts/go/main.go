// Go's mattn/go-sqlite3: story LIBRARY URL DATABASE
package main

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// register makes a driver whose every connection is attached when it is opened.
func register(name, library, url, options string) {
	sql.Register(name, &sqlite3.SQLiteDriver{
		Extensions: []string{library},
		ConnectHook: func(conn *sqlite3.SQLiteConn) error {
			_, err := conn.Exec("SELECT replica_attach(?, NULL, ?)", []driver.Value{url, options})
			return err
		},
	})
}

type result struct {
	RowsAffected    int64   `json:"rows_affected"`
	LastInsertRowid int64   `json:"last_insert_rowid"`
	FrameNo         int64   `json:"frame_no"`
	Rows            [][]any `json:"rows"`
}

// write runs one statement on the primary; it is readable here afterwards.
func write(db *sql.DB, statement string, args ...any) (result, error) {
	var text string
	var r result
	query := "SELECT replica_write(?" + strings.Repeat(", ?", len(args)) + ")"
	if err := db.QueryRow(query, append([]any{statement}, args...)...).Scan(&text); err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(text), &r)
}

func value[T any](db *sql.DB, query string, args ...any) (v T) {
	must(db.QueryRow(query, args...).Scan(&v))
	return v
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func check(ok bool, what any) {
	if !ok {
		log.Fatal("not so: ", what)
	}
}

func main() {
	library, url, database := os.Args[1], os.Args[2], os.Args[3]
	register("replica", library, url, "{}")
	register("replica-live", library, url, `{"live": true}`)

	db, err := sql.Open("replica", database)
	must(err)
	fmt.Println("step: load", value[string](db, "SELECT replica_version()"))
	fmt.Println("step: attach", value[int64](db, "SELECT frame_no FROM replica_status"))

	check(value[string](db, "SELECT item FROM orders WHERE id = ?", 7) == "lantern", "read")
	fmt.Println("step: read")

	written, err := write(db, "INSERT INTO orders(item) VALUES (?)", "kite")
	must(err)
	check(written.RowsAffected == 1 && written.LastInsertRowid == 8, written)
	check(value[int64](db, "SELECT id FROM orders WHERE item = ?", "kite") == 8, "own write")
	fmt.Println("step: write")

	written, err = write(db, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum")
	must(err)
	check(written.Rows[0][0] == 9.0, written)
	fmt.Println("step: returning")

	_, err = write(db, "INSERT INTO orders(item) VALUES (?)", "kite")
	var failed sqlite3.Error
	check(errors.As(err, &failed) && failed.ExtendedCode == sqlite3.ErrConstraintUnique, err)
	fmt.Println("step: constraint", err)

	_, err = db.Exec("INSERT INTO orders(item) VALUES ('stray')")
	check(errors.As(err, &failed) && failed.Code == sqlite3.ErrReadonly, err)
	fmt.Println("step: readonly", err)

	other, err := sql.Open("replica", database+"-other")
	must(err)
	_, err = write(other, "INSERT INTO orders(item) VALUES (?)", "rope")
	must(err)
	value[string](db, "SELECT replica_sync()")
	check(value[int64](db, "SELECT count(*) FROM orders WHERE item = 'rope'") == 1, "sync")
	fmt.Println("step: sync")

	must(db.Close())
	db, err = sql.Open("replica-live", database)
	must(err)
	must(db.Ping())
	written, err = write(other, "INSERT INTO orders(item) VALUES (?)", "flute")
	must(err)
	value[int64](db, "SELECT replica_wait(?, 10)", written.FrameNo)
	check(value[int64](db, "SELECT count(*) FROM orders WHERE item = 'flute'") == 1, "live")
	fmt.Println("step: live")

	must(db.Close())
	must(other.Close())
}
