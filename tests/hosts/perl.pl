# Perl's DBD::SQLite: story LIBRARY URL DATABASE
use strict;
use warnings;
use DBI;
use JSON::PP;

my ($library, $url, $database) = @ARGV;

sub check { my ($true, $what) = @_; $true or die "not so: $what\n" }

sub open_replica {
    my ($path, $options) = @_;
    my $db = DBI->connect("dbi:SQLite:dbname=$path", '', '',
        { RaiseError => 1, PrintError => 0, sqlite_extended_result_codes => 1 });
    $db->sqlite_enable_load_extension(1);
    $db->sqlite_load_extension($library);
    $db->sqlite_enable_load_extension(0);
    $db->selectrow_array('SELECT replica_attach(?, NULL, ?)', undef, $url, $options // '{}');
    return $db;
}

# Runs one statement on the primary; it is readable here afterwards.
sub write_to {
    my ($db, @arguments) = @_;
    my $marks = join ', ', ('?') x @arguments;
    my ($json) = $db->selectrow_array("SELECT replica_write($marks)", undef, @arguments);
    return decode_json($json);
}

sub value { my ($db, @query) = @_; my ($value) = $db->selectrow_array(shift @query, undef, @query); return $value }

my $db = open_replica($database);
print 'step: load ', value($db, 'SELECT replica_version()'), " DBD::SQLite $DBD::SQLite::VERSION\n";
print 'step: attach ', value($db, 'SELECT frame_no FROM replica_status'), "\n";

check(value($db, 'SELECT item FROM orders WHERE id = ?', 7) eq 'lantern', 'read');
print "step: read\n";

check(write_to($db, 'INSERT INTO orders(item) VALUES (?)', 'kite')->{rows_affected} == 1, 'rows_affected');
check(value($db, 'SELECT id FROM orders WHERE item = ?', 'kite') == 8, 'own write');
print "step: write\n";

check(write_to($db, 'INSERT INTO orders(item) VALUES (?) RETURNING id', 'drum')->{rows}[0][0] == 9, 'RETURNING');
print "step: returning\n";

# With RaiseError the usual exception is die; 2067 is SQLITE_CONSTRAINT_UNIQUE.
check(!eval { write_to($db, 'INSERT INTO orders(item) VALUES (?)', 'kite'); 1 }, 'an exception');
check($db->err == 2067, 'code ' . $db->err);
print 'step: constraint ', $db->errstr, "\n";

check(!eval { $db->do("INSERT INTO orders(item) VALUES ('stray')"); 1 }, 'a plain write refused');
check($db->errstr =~ /readonly/, $db->errstr);
print 'step: readonly ', $db->errstr, "\n";

my $other = open_replica("$database-other");
write_to($other, 'INSERT INTO orders(item) VALUES (?)', 'rope');
value($db, 'SELECT replica_sync()');
check(value($db, "SELECT count(*) FROM orders WHERE item = 'rope'") == 1, 'sync');
print "step: sync\n";

$db->disconnect;
$db = open_replica($database, '{"live": true}');
my $frame_no = write_to($other, 'INSERT INTO orders(item) VALUES (?)', 'flute')->{frame_no};
value($db, 'SELECT replica_wait(?, 10)', $frame_no);
check(value($db, "SELECT count(*) FROM orders WHERE item = 'flute'") == 1, 'live');
print "step: live\n";

$db->disconnect;
$other->disconnect;
