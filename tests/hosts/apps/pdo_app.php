<?php
// Orders over HTTP: PHP on a replica. PDO, on which Laravel and Doctrine stand, cannot
// load extensions before PHP 8.4: it reads the file, which
// `sqlite-replica follow app.db` keeps fresh. Writes go through the class
// SQLite3, which can; php.ini names the folder of replica.so in
// sqlite3.extension_dir. The token is taken from REPLICA_TOKEN.
declare(strict_types=1);

function reader(): PDO
{
    $db = new PDO('sqlite:' . (getenv('APP_DB') ?: 'app.db'));
    $db->exec('PRAGMA trusted_schema = 0');
    return $db;
}

function replica(): SQLite3
{
    $db = new SQLite3(getenv('APP_DB') ?: 'app.db');
    $db->enableExceptions(true);
    $db->loadExtension('replica.so');
    $db->querySingle("SELECT replica_attach(NULL, NULL, '{\"timeout\": 5}')");
    return $db;
}

// Only querySingle() runs a SELECT once; it takes no parameters.
function write(SQLite3 $db, string $sql, ...$args): array
{
    $quoted = fn (string $text) => "'" . SQLite3::escapeString($text) . "'";
    $call = "SELECT replica_write_args({$quoted($sql)}, {$quoted(json_encode($args))})";
    return json_decode($db->querySingle($call), true);
}

function answer(int $status, $body): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode($body);
}

switch ($_SERVER['REQUEST_METHOD'] . ' ' . $_SERVER['REQUEST_URI']) {
    case 'GET /orders':
        answer(200, reader()->query('SELECT item FROM orders ORDER BY id')->fetchAll(PDO::FETCH_COLUMN));
        break;
    case 'POST /orders':
        $db = replica();
        try {
            $item = json_decode(file_get_contents('php://input'), true)['item'];
            $result = write($db, 'INSERT INTO orders(item) VALUES (?)', $item);
            answer(201, ['id' => $result['last_insert_rowid']]);
        } catch (Exception $error) {
            // 19 is SQLITE_CONSTRAINT; the rest is about the primary.
            answer($db->lastErrorCode() === 19 ? 409 : 503, ['error' => $error->getMessage()]);
        }
        break;
    case 'GET /health':
        $row = replica()->querySingle('SELECT healthy, trouble FROM replica_health(NULL, 15)', true);
        answer($row['healthy'] ? 200 : 503, ['trouble' => $row['trouble']]);
        break;
    default:
        answer(404, ['error' => 'no such page']);
}
