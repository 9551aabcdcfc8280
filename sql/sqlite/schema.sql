-- name: countTables :one
-- How many of duolect's tables there are.
SELECT count(*) AS count
FROM sqlite_master
WHERE type = 'table' AND name IN ('kvs', 'users');

-- name: createTables :exec
-- Runs in one transaction that holds the write lock, so that simultaneous first starts are safe.
CREATE TABLE IF NOT EXISTS kvs (
  key TEXT NOT NULL PRIMARY KEY,
  value TEXT,
  modified_on TIMESTAMP
);

CREATE TABLE IF NOT EXISTS users (
  id TEXT NOT NULL PRIMARY KEY,
  "userId" TEXT NOT NULL,
  platform TEXT NOT NULL,
  gender TEXT,
  timezone REAL,
  picture_url TEXT,
  first_name TEXT,
  last_name TEXT,
  locale TEXT,
  created_on TIMESTAMP NOT NULL
);
