// Orders over HTTP: Go, database/sql and mattn/go-sqlite3 on a replica.
//
//	REPLICA_URL=http://127.0.0.1:8080 REPLICA_LIBRARY=/usr/local/lib/replica.so ./orders
//
// The token is taken from REPLICA_TOKEN.
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-sqlite3"
)

// open makes a pool whose every connection is attached when it is opened.
func open(name, options string) *sql.DB {
	sql.Register(name, &sqlite3.SQLiteDriver{
		Extensions: []string{os.Getenv("REPLICA_LIBRARY")},
		ConnectHook: func(conn *sqlite3.SQLiteConn) error {
			_, err := conn.Exec("SELECT replica_attach(NULL, NULL, ?)", []driver.Value{options})
			return err
		},
	})
	db, err := sql.Open(name, env("APP_DB", "app.db"))
	must(err)
	return db
}

func main() {
	// One connection that stays is live: it keeps the file fresh for the pool.
	fresh, err := open("replica-live", `{"live": true, "timeout": 5}`).Conn(context.Background())
	must(err)
	db := open("replica", `{"timeout": 5}`)

	http.HandleFunc("/orders", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			add(db, w, r)
		} else {
			list(db, w, r)
		}
	})
	http.HandleFunc("/health", func(w http.ResponseWriter, r *http.Request) {
		var healthy bool
		var trouble sql.NullString
		err := db.QueryRow("SELECT healthy, trouble FROM replica_health(NULL, 15)").Scan(&healthy, &trouble)
		status := http.StatusServiceUnavailable
		if healthy {
			status = http.StatusOK
		}
		answer(w, status, map[string]string{"trouble": trouble.String}, err)
	})

	server := &http.Server{Addr: "127.0.0.1:" + env("PORT", "8000")}
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	go func() {
		<-stop.Done()
		server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	must(db.Close())
	must(fresh.Close())
}

// list reads the file: also while the primary is down.
func list(db *sql.DB, w http.ResponseWriter, r *http.Request) {
	items := []string{}
	rows, err := db.QueryContext(r.Context(), "SELECT item FROM orders ORDER BY id")
	if err == nil {
		defer rows.Close()
		for rows.Next() && err == nil {
			items = append(items, "")
			err = rows.Scan(&items[len(items)-1])
		}
		if err == nil {
			err = rows.Err()
		}
	}
	answer(w, http.StatusOK, items, err)
}

// add writes on the primary; every connection reads it when this returns.
func add(db *sql.DB, w http.ResponseWriter, r *http.Request) {
	var order struct{ Item string }
	if err := json.NewDecoder(r.Body).Decode(&order); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var id int64
	err := db.QueryRowContext(r.Context(), "SELECT last_insert_rowid FROM replica_write(?, json_array(?))",
		"INSERT INTO orders(item) VALUES (?)", order.Item).Scan(&id)
	answer(w, http.StatusCreated, map[string]int64{"id": id}, err)
}

func answer(w http.ResponseWriter, status int, body any, err error) {
	if err != nil {
		status, body = http.StatusServiceUnavailable, map[string]string{"error": err.Error()}
		var failed sqlite3.Error
		if errors.As(err, &failed) && failed.Code == sqlite3.ErrConstraint {
			status = http.StatusConflict
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
