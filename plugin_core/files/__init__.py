"""Files safely: renamed without replacing, copied, hashed, locked, named; and SQLite files that processes share."""
