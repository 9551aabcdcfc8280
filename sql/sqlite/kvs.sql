-- name: findValues :all
SELECT key, value
FROM kvs
WHERE key IN (SELECT value FROM json_each(:keys));

-- name: findAndLockValues :all
-- The transaction has the write lock from its BEGIN on, so that there is nothing more to lock.
SELECT key, value
FROM kvs
WHERE key IN (SELECT value FROM json_each(:keys));

-- name: putValues :run
-- Each entry is an array of a key and a value.
INSERT INTO kvs (key, value, modified_on)
SELECT value ->> 0, value ->> 1, :now
FROM json_each(:entries)
WHERE TRUE
ON CONFLICT (key) DO UPDATE SET
  value = excluded.value,
  modified_on = excluded.modified_on;

-- name: deleteValues :run
DELETE FROM kvs
WHERE key IN (SELECT value FROM json_each(:keys));

-- name: listValues :all
-- The next page in key order: BINARY, SQLite's default collation, is that of code points.
SELECT key, value, modified_on AS "modifiedOn"
FROM kvs
WHERE key > :after AND key >= :prefix AND (:end IS NULL OR key < :end)
ORDER BY key
LIMIT :limit;
