"""`python -m sqlite_replica` prints the library's path."""

from sqlite_replica import _print_path

_print_path()
