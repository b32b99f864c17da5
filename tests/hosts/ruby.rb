# Ruby's sqlite3 gem: story LIBRARY URL DATABASE
require "json"
require "sqlite3"

LIBRARY, URL, DATABASE = ARGV

def check(true_, what)
  true_ or abort "not so: #{what}"
end

def open_replica(path, options = {})
  db = SQLite3::Database.new(path)
  db.enable_load_extension(true)
  db.load_extension(LIBRARY)
  db.enable_load_extension(false)
  db.get_first_value("SELECT replica_attach(?, NULL, ?)", [URL, options.to_json])
  db
end

# Runs one statement on the primary; it is readable here afterwards.
def write(db, sql, *args)
  JSON.parse(db.get_first_value("SELECT replica_write(?#{', ?' * args.size})", [sql, *args]))
end

db = open_replica(DATABASE)
puts "step: load #{db.get_first_value('SELECT replica_version()')} gem #{SQLite3::VERSION}"
puts "step: attach #{db.get_first_value('SELECT frame_no FROM replica_status')}"

check db.get_first_value("SELECT item FROM orders WHERE id = ?", [7]) == "lantern", "read"
puts "step: read"

check write(db, "INSERT INTO orders(item) VALUES (?)", "kite")["rows_affected"] == 1, "rows_affected"
check db.get_first_value("SELECT id FROM orders WHERE item = ?", ["kite"]) == 8, "own write"
puts "step: write"

check write(db, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum")["rows"] == [[9]], "RETURNING"
puts "step: returning"

begin
  write(db, "INSERT INTO orders(item) VALUES (?)", "kite")
  abort "no ConstraintException"
rescue SQLite3::ConstraintException => error
  puts "step: constraint #{error.message}"
end

begin
  db.execute("INSERT INTO orders(item) VALUES ('stray')")
  abort "a plain write was not refused"
rescue SQLite3::ReadOnlyException => error
  puts "step: readonly #{error.message}"
end

other = open_replica(DATABASE + "-other")
write(other, "INSERT INTO orders(item) VALUES (?)", "rope")
db.execute("SELECT replica_sync()")
check db.get_first_value("SELECT count(*) FROM orders WHERE item = 'rope'") == 1, "sync"
puts "step: sync"

db.close
db = open_replica(DATABASE, live: true)
frame_no = write(other, "INSERT INTO orders(item) VALUES (?)", "flute")["frame_no"]
db.execute("SELECT replica_wait(?, 10)", [frame_no])
check db.get_first_value("SELECT count(*) FROM orders WHERE item = 'flute'") == 1, "live"
puts "step: live"

db.close
other.close
