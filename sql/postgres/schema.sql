-- name: countTables :one
-- How many of duolect's tables the search path leads to.
SELECT (to_regclass('kvs') IS NOT NULL)::INTEGER + (to_regclass('users') IS NOT NULL)::INTEGER AS count;

-- name: describeServer :one
-- Whether the server is a standby, and whether it takes no writes for that or another reason.
SELECT pg_is_in_recovery() AS "isStandby", current_setting('transaction_read_only') = 'on' AS "isReadOnly";

-- name: createTables :exec
-- The server runs a script as one transaction, so the lock lasts until the tables are there: without it, CREATE
-- TABLE IF NOT EXISTS fails when several do it at once. The number is that of duolect's tables, and no other.
SELECT pg_advisory_xact_lock(2018110551);

-- Keys sort by code points, as in SQLite.
CREATE TABLE IF NOT EXISTS kvs (
  key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
  value TEXT,
  modified_on TIMESTAMPTZ
);

CREATE TABLE IF NOT EXISTS users (
  id TEXT NOT NULL PRIMARY KEY,
  "userId" TEXT NOT NULL,
  platform TEXT NOT NULL,
  gender TEXT,
  timezone DOUBLE PRECISION,
  picture_url TEXT,
  first_name TEXT,
  last_name TEXT,
  locale TEXT,
  created_on TIMESTAMPTZ NOT NULL
);
