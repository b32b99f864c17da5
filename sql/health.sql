-- For Prometheus' textfile collector, from cron or a timer, without attach and
-- network:
--
--   sqlite3 :memory: < sql/health.sql > replica.prom.new && mv replica.prom.new replica.prom
--
-- Edit the path of the library, and that of the database (a relative one
-- begins in the folder where this runs).

.bail on
.load ./dist/replica

CREATE TEMP TABLE health AS SELECT * FROM replica_health('app.db');
-- Within a label, Prometheus wants these two escaped.
UPDATE health SET path = replace(replace(path, '\', '\\'), '"', '\"');
SELECT printf('replica_healthy{path="%s"} %d', path, healthy) FROM health;
-- The alert: 1 means that a process which kept the file fresh was killed.
SELECT printf('replica_worker_gone{path="%s"} %d', path, worker IS 'gone') FROM health;
SELECT printf('replica_fresh_age_seconds{path="%s"} %.1f', path, fresh_age_s) FROM health WHERE fresh_age_s IS NOT NULL;
SELECT printf('replica_contact_age_seconds{path="%s"} %.1f', path, contact_age_s) FROM health WHERE contact_age_s IS NOT NULL;
SELECT printf('replica_lag_frames{path="%s"} %d', path, lag_frames) FROM health WHERE lag_frames IS NOT NULL;
