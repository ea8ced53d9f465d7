"""General file helpers that do not depend on this project: atomic writes, locks, SQLite, and the state of a file."""
