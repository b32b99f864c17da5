# Tcl's sqlite3 package: story LIBRARY URL DATABASE
package require sqlite3
lassign $argv library url database

proc check {true what} { if {!$true} { puts stderr "not so: $what"; exit 1 } }

proc open_replica {name path {options "{}"}} {
    global library url
    sqlite3 $name $path
    $name enable_load_extension 1
    $name eval {SELECT load_extension($library)}
    $name enable_load_extension 0
    $name eval {SELECT replica_attach($url, NULL, $options)}
}

open_replica db $database
puts "step: load [db onecolumn {SELECT replica_version()}] SQLite [sqlite3 -version]"
puts "step: attach [db onecolumn {SELECT frame_no FROM replica_status}]"

check [expr {[db onecolumn {SELECT item FROM orders WHERE id = 7}] eq "lantern"}] read
puts "step: read"

# Runs one statement on the primary; it is readable here afterwards.
set item kite
set insert {INSERT INTO orders(item) VALUES (?)}
set rows [db onecolumn {SELECT replica_write($insert, $item) ->> 'rows_affected'}]
check [expr {$rows == 1}] rows_affected
check [expr {[db onecolumn {SELECT id FROM orders WHERE item = $item}] == 8}] "own write"
puts "step: write"

set id [db onecolumn {SELECT replica_write('INSERT INTO orders(item) VALUES (?) RETURNING id', 'drum') ->> '$.rows[0][0]'}]
check [expr {$id == 9}] RETURNING
puts "step: returning"

# The usual error of Tcl; 19 is SQLITE_CONSTRAINT.
check [catch {db eval {SELECT replica_write($insert, $item)}} message] "an error"
check [expr {[db errorcode] == 19}] "code [db errorcode]"
puts "step: constraint $message"

check [catch {db eval {INSERT INTO orders(item) VALUES ('stray')}} message] "a plain write refused"
check [string match *readonly* $message] $message
puts "step: readonly $message"

open_replica other $database-other
other eval {SELECT replica_write($insert, 'rope')}
db eval {SELECT replica_sync()}
check [expr {[db onecolumn {SELECT count(*) FROM orders WHERE item = 'rope'}] == 1}] sync
puts "step: sync"

db close
open_replica db $database {{"live": true}}
set frame_no [other onecolumn {SELECT replica_write($insert, 'flute') ->> 'frame_no'}]
db eval {SELECT replica_wait($frame_no, 10)}
check [expr {[db onecolumn {SELECT count(*) FROM orders WHERE item = 'flute'}] == 1}] live
puts "step: live"

db close
other close
