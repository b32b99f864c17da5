<?php
// PHP's SQLite3 class: story LIBRARY URL DATABASE
//
// PHP loads extensions only from the folder that php.ini names:
//   sqlite3.extension_dir = /usr/local/lib/sqlite
// PDO can load them from PHP 8.4 on (Pdo\Sqlite::loadExtension).

[, $library, $url, $database] = $argv;

function check(bool $true, string $what): void
{
    if (!$true) {
        fwrite(STDERR, "not so: $what\n");
        exit(1);
    }
}

function open_replica(string $path, array $options = []): SQLite3
{
    global $library, $url;
    $db = new SQLite3($path);
    $db->enableExceptions(true);
    $db->loadExtension(basename($library));
    call($db, 'replica_attach', $url, null, json_encode((object) $options));
    return $db;
}

// SELECT function(arguments). PHP runs a SELECT again when a result of query()
// or of a prepared execute() is fetched, which would write twice: only
// querySingle() and exec() run a statement once, and they take no parameters.
function call(SQLite3 $db, string $function, ...$arguments)
{
    $literal = fn ($value) => match (true) {
        $value === null => 'NULL',
        is_int($value) => (string) $value,
        is_float($value) => sprintf('%.17e', $value),
        default => "CAST(x'" . bin2hex($value) . "' AS TEXT)",
    };
    return $db->querySingle("SELECT $function(" . implode(', ', array_map($literal, $arguments)) . ')');
}

// Runs one statement on the primary; it is readable here afterwards.
function write(SQLite3 $db, string $sql, ...$args): array
{
    return json_decode(call($db, 'replica_write', $sql, ...$args), true);
}

$db = open_replica($database);
echo 'step: load ', $db->querySingle('SELECT replica_version()'), ' PHP ', PHP_VERSION, "\n";
echo 'step: attach ', $db->querySingle('SELECT frame_no FROM replica_status'), "\n";

check($db->querySingle('SELECT item FROM orders WHERE id = 7') === 'lantern', 'read');
echo "step: read\n";

check(write($db, 'INSERT INTO orders(item) VALUES (?)', 'kite')['rows_affected'] === 1, 'rows_affected');
check($db->querySingle("SELECT id FROM orders WHERE item = 'kite'") === 8, 'own write');
echo "step: write\n";

check(write($db, 'INSERT INTO orders(item) VALUES (?) RETURNING id', 'drum')['rows'] === [[9]], 'RETURNING');
echo "step: returning\n";

try {
    write($db, 'INSERT INTO orders(item) VALUES (?)', 'kite');
    check(false, 'an exception');
} catch (Exception $error) {
    check($db->lastErrorCode() === 19, 'code ' . $db->lastErrorCode());
    check($db->lastExtendedErrorCode() === 2067, 'extended code ' . $db->lastExtendedErrorCode());
    echo 'step: constraint ', $error->getMessage(), "\n";
}

try {
    $db->exec("INSERT INTO orders(item) VALUES ('stray')");
    check(false, 'a plain write was not refused');
} catch (Exception $error) {
    check(str_contains($error->getMessage(), 'readonly'), $error->getMessage());
    echo 'step: readonly ', $error->getMessage(), "\n";
}

$other = open_replica($database . '-other');
write($other, 'INSERT INTO orders(item) VALUES (?)', 'rope');
call($db, 'replica_sync');
check($db->querySingle("SELECT count(*) FROM orders WHERE item = 'rope'") === 1, 'sync');
echo "step: sync\n";

$db->close();
$db = open_replica($database, ['live' => true]);
$frame_no = write($other, 'INSERT INTO orders(item) VALUES (?)', 'flute')['frame_no'];
call($db, 'replica_wait', $frame_no, 10);
check($db->querySingle("SELECT count(*) FROM orders WHERE item = 'flute'") === 1, 'live');
echo "step: live\n";

$db->close();
$other->close();
