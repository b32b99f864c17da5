# Puma's configuration for rails_app.ru: what was opened before the fork is not
# used after it, and one connection of each worker is live.
preload_app!
before_fork { ActiveRecord::Base.connection_pool.disconnect! }

on_worker_boot do
  $fresh = SQLite3::Database.new(ENV.fetch("APP_DB", "app.db"))
  $fresh.enable_load_extension(true)
  $fresh.load_extension(ENV.fetch("REPLICA_LIBRARY"))
  $fresh.get_first_value("SELECT replica_attach(NULL, NULL, ?)", [{ live: true, timeout: 5 }.to_json])
end
