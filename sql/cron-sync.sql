-- Brings a replica up to date; for cron, a systemd timer, or by hand:
--
--   */5 * * * *  cd /srv/app && set -a && . /etc/replica.env && sqlite3 app.db < sql/cron-sync.sql > /dev/null
--
-- Edit the path of the library. /etc/replica.env holds REPLICA_URL=... and
-- REPLICA_TOKEN=..., and is readable by you alone: what stands in the crontab
-- line itself is seen by every user of the machine. Any program may read
-- app.db meanwhile. Prints one line; on an error, one sentence on stderr and
-- an exit status other than 0.

.bail on
.load ./dist/replica

-- Attaches, and prints nothing of it.
SELECT 1 WHERE replica_attach(NULL, NULL, '{"first_sync": false, "timeout": 20}') IS NULL;
SELECT strftime('%Y-%m-%d %H:%M:%S', 'now') || ' '
    || (sync ->> 'frames_synced') || ' frames, now at ' || ifnull(sync ->> 'frame_no', 'none')
FROM (SELECT replica_sync() AS sync);
