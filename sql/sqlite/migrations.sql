-- name: countMigrationTables :one
SELECT count(*) AS count
FROM sqlite_master
WHERE type = 'table' AND name = 'duolect_migrations';

-- name: createMigrationTable :exec
CREATE TABLE IF NOT EXISTS duolect_migrations (
  module TEXT NOT NULL,
  name TEXT NOT NULL,
  checksum TEXT,
  applied_on TIMESTAMP NOT NULL,
  PRIMARY KEY (module, name)
);

-- name: findForeignKeys :all
-- Which tables refer to which others.
SELECT DISTINCT children.name AS child, keys."table" AS parent
FROM sqlite_master AS children, pragma_foreign_key_list(children.name) AS keys
WHERE children.type = 'table' AND lower(keys."table") <> lower(children.name);

-- name: countEnforcedForeignKeys :one
-- 1 while the connection enforces foreign keys, else 0.
SELECT foreign_keys AS count
FROM pragma_foreign_keys;

-- name: findDanglingRows :all
-- Which tables have rows that refer to no row of another.
SELECT "table" AS child, parent, count(*) AS count
FROM pragma_foreign_key_check
GROUP BY 1, 2
ORDER BY 1, 2;

-- name: findIndexesAndTriggers :all
-- Those that a CREATE statement made.
SELECT type, name, tbl_name AS "tableName", sql
FROM sqlite_master
WHERE type IN ('index', 'trigger') AND sql IS NOT NULL;

-- name: findTables :all
SELECT name
FROM sqlite_master
WHERE type = 'table';

-- name: findSequences :all
-- The largest id that each table with AUTOINCREMENT has given.
SELECT name, seq AS "largestId"
FROM sqlite_sequence;

-- name: moveSequence :run
UPDATE sqlite_sequence SET seq = max(seq, :largestId)
WHERE name = :name;

-- name: addSequence :run
-- A table that has given no id yet has no row.
INSERT INTO sqlite_sequence (name, seq)
SELECT :name, :largestId
WHERE EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name)
  AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :name);
