"""`python -m sqlite_replica` is the command `sqlite-replica`."""

import sys

from sqlite_replica._cli import main

sys.exit(main())
