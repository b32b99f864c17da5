"""What SQLite can do, for the suite; one class for the baseline and for replicas."""

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

YES, NO = exclusions.open(), exclusions.closed()


class Requirements(SuiteRequirements):
    # ATTACH gives pysqlite its schemas; a replica has the one of the primary.
    schemas = NO
    # sqld has no temporary tables; here they are the connection's own.
    temporary_tables = temp_table_reflection = temporary_views = NO
    foreign_keys_reflect_as_index = NO
    savepoints = YES
    insert_returning = update_returning = delete_returning = YES
    reflects_pk_names = YES
    datetime_microseconds = datetime_literals = YES
    date_historic = datetime_historic = YES
    json_type = YES
    ctes = ctes_with_update_delete = YES
    window_functions = YES
    computed_columns = computed_columns_stored = computed_columns_virtual = YES
    views = YES
    unique_constraint_reflection = check_constraint_reflection = YES
    autocommit = YES
