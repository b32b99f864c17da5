# Orders over HTTP: Rails, ActiveRecord and Puma on a replica, in one file.
#
#   REPLICA_URL=http://127.0.0.1:8080 puma -w 2 -C rails_puma.rb rails_app.ru
#
# Models read the file; `Replica.write` runs a statement on the primary. The token
# is taken from REPLICA_TOKEN, REPLICA_LIBRARY is the path of replica.so.
require "action_controller/railtie"
require "active_record"
require "active_record/connection_adapters/sqlite3_adapter"

# Each connection of the pool is attached when it is opened.
module Replica
  def configure_connection
    super
    @connection.enable_load_extension(true)
    @connection.load_extension(ENV.fetch("REPLICA_LIBRARY"))
    @connection.enable_load_extension(false)
    @connection.get_first_value("SELECT replica_attach(NULL, NULL, ?)", [{ timeout: 5 }.to_json])
  end

  # To Rails this SELECT only reads. `exec_query` is not answered by the query
  # cache, and what was cached before the write is old.
  def self.write(sql, *args)
    connection = ActiveRecord::Base.connection
    call = ActiveRecord::Base.sanitize_sql(["SELECT replica_write_args(?, ?)", sql, args.to_json])
    JSON.parse(connection.exec_query(call, "Replica write").rows[0][0])
  ensure
    connection&.clear_query_cache
  end
end
ActiveRecord::ConnectionAdapters::SQLite3Adapter.prepend(Replica)

class Order < ActiveRecord::Base
end

class OrdersController < ActionController::API
  # As in every request of a whole Rails application.
  around_action { |_, action| ActiveRecord::Base.cache(&action) }
  rescue_from(ActiveRecord::StatementInvalid) { |error| render json: { error: error.message }, status: 503 }
  rescue_from(ActiveRecord::RecordNotUnique) { |error| render json: { error: error.message }, status: 409 }

  def index
    render json: Order.order(:id).pluck(:item)
  end

  def create
    return head(:insufficient_storage) if Order.count >= 1000

    result = Replica.write("INSERT INTO orders(item) VALUES (?)", params.require(:item))
    render json: { id: result["last_insert_rowid"], orders: Order.count }, status: 201
  end

  def health
    healthy, trouble = ActiveRecord::Base.uncached do
      Order.connection.select_rows("SELECT healthy, trouble FROM replica_health(NULL, 15)").first
    end
    render json: { trouble: trouble }, status: healthy == 1 ? 200 : 503
  end
end

class App < Rails::Application
  config.eager_load = false
  config.consider_all_requests_local = false
  config.secret_key_base = "only for this example"
  config.logger = Logger.new($stderr, level: Logger::WARN)
  config.log_level = :warn
  routes.append do
    get "/orders", to: "orders#index"
    post "/orders", to: "orders#create"
    get "/health", to: "orders#health"
  end
end

App.initialize!
ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: ENV.fetch("APP_DB", "app.db"))
run App
