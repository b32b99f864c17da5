# ActiveRecord, with its query cache on from beginning to end: story LIBRARY URL DATABASE
require "active_record"
require "active_record/connection_adapters/sqlite3_adapter"
require "json"

LIBRARY, URL, DATABASE = ARGV

def check(good, what) = good || abort("failed: #{what}")

# Each connection of the pool is attached when it is opened.
module Attached
  def configure_connection
    super
    @connection.enable_load_extension(true)
    @connection.load_extension(LIBRARY)
    @connection.enable_load_extension(false)
    @connection.get_first_value("SELECT replica_attach(?, NULL, ?)", [URL, @config.fetch(:attach, {}).to_json])
  end
end
ActiveRecord::ConnectionAdapters::SQLite3Adapter.prepend(Attached)

class Order < ActiveRecord::Base
end

class Other < ActiveRecord::Base
  self.table_name = "orders"
end

# To ActiveRecord this SELECT only reads. `exec_query` is not answered by the
# query cache, and what was cached before the write is old.
def write(model, sql, *args)
  call = model.sanitize_sql(["SELECT replica_write_args(?, ?)", sql, args.to_json])
  JSON.parse(model.connection.exec_query(call).rows[0][0])
ensure
  Order.connection.clear_query_cache
end

def value(sql) = Order.connection.select_value(sql)

def open(**options) = Order.establish_connection(adapter: "sqlite3", database: DATABASE, attach: options)

open
Other.establish_connection(adapter: "sqlite3", database: DATABASE + "-other")
Order.connection.enable_query_cache!
puts "step: load #{value('SELECT replica_version()')} ActiveRecord #{ActiveRecord.version}"
puts "step: attach #{value('SELECT frame_no FROM replica_status')}"

check Order.find(7).item == "lantern" && Order.count == 1, "read"
puts "step: read"

check write(Order, "INSERT INTO orders(item) VALUES (?)", "kite")["rows_affected"] == 1, "rows_affected"
check Order.count == 2 && Order.find_by(item: "kite").id == 8, "own write behind the cache"
# The same text twice is two writes.
frames = Array.new(2) { write(Order, "UPDATE orders SET item = item WHERE id = 7")["frame_no"] }
check frames[1] > frames[0], "the same write twice"
puts "step: write"

check write(Order, "INSERT INTO orders(item) VALUES (?) RETURNING id", "drum")["rows"] == [[9]], "RETURNING"
puts "step: returning"

begin
  write(Order, "INSERT INTO orders(item) VALUES (?)", "kite")
  abort "no RecordNotUnique"
rescue ActiveRecord::RecordNotUnique => error
  puts "step: constraint #{error.message}"
end

begin
  Order.create!(item: "stray")
  abort "a plain write was not refused"
rescue ActiveRecord::StatementInvalid => error
  puts "step: readonly #{error.message}"
end

write(Other, "INSERT INTO orders(item) VALUES (?)", "rope")
Order.connection.exec_query("SELECT replica_sync()")
Order.connection.clear_query_cache
check Order.exists?(item: "rope"), "sync"
puts "step: sync"

Order.remove_connection
open(live: true)
frame_no = write(Other, "INSERT INTO orders(item) VALUES (?)", "flute")["frame_no"]
value("SELECT replica_wait(#{frame_no}, 10)")
check Order.exists?(item: "flute"), "live"
puts "step: live"

Order.remove_connection
Other.remove_connection
