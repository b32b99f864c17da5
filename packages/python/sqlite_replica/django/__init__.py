"""A database backend for Django: `ENGINE: "sqlite_replica.django"`."""
