-- name: countMigrationTables :one
SELECT (to_regclass('duolect_migrations') IS NOT NULL)::INTEGER AS count;

-- name: createMigrationTable :exec
-- Takes the lock of createTables, for the same reason.
SELECT pg_advisory_xact_lock(2018110551);

CREATE TABLE IF NOT EXISTS duolect_migrations (
  module TEXT NOT NULL,
  name TEXT NOT NULL,
  checksum TEXT,
  applied_on TIMESTAMPTZ NOT NULL,
  PRIMARY KEY (module, name)
);

-- name: lockMigrations :all
-- Lets one process at a time run migrations. The lock ends with the transaction, so it works behind a pooler.
SELECT pg_advisory_xact_lock(2018110551) IS NULL AS locked;
