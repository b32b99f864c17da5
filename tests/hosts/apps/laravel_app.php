<?php
// Orders over HTTP: Laravel's database layer (Eloquent) on a replica. Queries read
// the file by PDO, which `sqlite-replica follow app.db` keeps fresh; what writes
// goes through PHP's class SQLite3 to the primary. php.ini names the folder of
// replica.so in sqlite3.extension_dir. The token is taken from REPLICA_TOKEN.
declare(strict_types=1);

use Illuminate\Database\Capsule\Manager as Capsule;
use Illuminate\Database\Connection;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Query\Builder;
use Illuminate\Database\Query\Processors\SQLiteProcessor;
use Illuminate\Database\QueryException;
use Illuminate\Database\SQLiteConnection;

require getenv('VENDOR_AUTOLOAD') ?: __DIR__ . '/vendor/autoload.php';

class ReplicaConnection extends SQLiteConnection
{
    private ?SQLite3 $replica = null;
    private ?int $lastId = null;

    public function statement($query, $bindings = [])
    {
        $this->write($query, $bindings);
        return true;
    }

    public function affectingStatement($query, $bindings = [])
    {
        return $this->write($query, $bindings);
    }

    public function unprepared($query)
    {
        return $this->statement($query);
    }

    public function lastId(): ?int
    {
        return $this->lastId;
    }

    // Queries in between would read the file, which is at the state before.
    public function beginTransaction()
    {
        throw new LogicException("several statements in one text are a transaction: DB::unprepared('...; ...')");
    }

    private function write(string $query, array $bindings): int
    {
        return $this->run($query, $bindings, function ($query, $bindings) {
            $args = json_encode(array_values($this->prepareBindings($bindings)), JSON_THROW_ON_ERROR);
            $result = json_decode($this->replica()->querySingle(sprintf(
                "SELECT replica_write_args('%s', '%s')",
                SQLite3::escapeString($query),
                SQLite3::escapeString($args)
            )), true);
            $this->lastId = $result['last_insert_rowid'];
            $this->recordsHaveBeenModified();
            return $result['rows_affected'] ?? 0;
        });
    }

    public function replica(): SQLite3
    {
        if ($this->replica === null) {
            $db = new SQLite3($this->getDatabaseName());
            $db->enableExceptions(true);
            $db->loadExtension('replica.so');
            $db->querySingle("SELECT replica_attach(NULL, NULL, '{\"timeout\": 5}')");
            $this->replica = $db;
        }
        return $this->replica;
    }

    protected function getDefaultPostProcessor()
    {
        return new class extends SQLiteProcessor {
            public function processInsertGetId(Builder $query, $sql, $values, $sequence = null)
            {
                $query->getConnection()->insert($sql, $values);
                return $query->getConnection()->lastId();
            }
        };
    }
}

// In an application this line is in a service provider, and config/database.php
// names the file.
Connection::resolverFor('sqlite', fn (...$arguments) => new ReplicaConnection(...$arguments));
$capsule = new Capsule();
$capsule->addConnection(['driver' => 'sqlite', 'database' => getenv('APP_DB') ?: 'app.db']);
$capsule->setAsGlobal();
$capsule->bootEloquent();

class Order extends Model
{
    public $timestamps = false;
    protected $fillable = ['item'];
}

function answer(int $status, $body): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode($body);
}

try {
    switch ($_SERVER['REQUEST_METHOD'] . ' ' . $_SERVER['REQUEST_URI']) {
        case 'GET /orders':
            answer(200, Order::orderBy('id')->pluck('item'));
            break;
        case 'POST /orders':
            $order = Order::create(['item' => json_decode(file_get_contents('php://input'), true)['item']]);
            answer(201, ['id' => $order->id, 'orders' => Order::count()]);
            break;
        case 'GET /health':
            $row = Capsule::connection()->replica()
                ->querySingle('SELECT healthy, trouble FROM replica_health(NULL, 15)', true);
            answer($row['healthy'] ? 200 : 503, ['trouble' => $row['trouble']]);
            break;
        default:
            answer(404, ['error' => 'no such page']);
    }
} catch (QueryException $error) {
    $constraint = str_contains($error->getMessage(), 'constraint failed');
    answer($constraint ? 409 : 503, ['error' => $error->getMessage()]);
}
