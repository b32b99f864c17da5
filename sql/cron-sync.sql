-- Brings a replica up to date; for cron, a systemd timer, or by hand:
--
--   */5 * * * *  cd /srv/app && REPLICA_TOKEN=... sqlite3 app.db < sql/cron-sync.sql
--
-- Edit the URL of your primary and the path of the library. The token comes
-- from the environment, so that it is in no file that others can read. Any
-- program may read app.db meanwhile. Prints one line; on an error, one
-- sentence on stderr and an exit status other than 0.

.bail on
.load ./dist/replica

SELECT replica_attach('http://127.0.0.1:8080', NULL, '{"first_sync": false, "timeout": 20}') ->> 'path';
SELECT strftime('%Y-%m-%d %H:%M:%S', 'now') || ' '
    || (sync ->> 'frames_synced') || ' frames, now at ' || ifnull(sync ->> 'frame_no', 'none')
FROM (SELECT replica_sync() AS sync);
