"""SQLAlchemy's own dialect suite, as it is published in the package, on a URL that --dburi gives."""

import pytest
from sqlalchemy.dialects import registry

registry.register("sqlite.replica", "sqlite_replica.sqlalchemy", "Dialect")
pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F401, F403
