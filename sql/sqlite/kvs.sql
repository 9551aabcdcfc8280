-- name: putValue :run
INSERT INTO kvs (key, value, modified_on)
VALUES (:key, :value, :now)
ON CONFLICT (key) DO UPDATE SET
  value = excluded.value,
  modified_on = excluded.modified_on;

-- name: findValues :all
SELECT key, value
FROM kvs
WHERE key IN (SELECT value FROM json_each(:keys));

-- name: deleteValues :run
DELETE FROM kvs
WHERE key IN (SELECT value FROM json_each(:keys));

-- name: deletePrefix :run
DELETE FROM kvs
WHERE key >= :prefix AND (:end IS NULL OR key < :end);

-- name: listKeys :all
-- The next page of keys.
SELECT key
FROM kvs
WHERE key > :after AND key >= :prefix AND (:end IS NULL OR key < :end)
ORDER BY key
LIMIT :limit;

-- name: listValues :all
-- The next page in key order: BINARY, SQLite's default collation, is that of code points.
SELECT key, value, modified_on AS "modifiedOn"
FROM kvs
WHERE key > :after AND key >= :prefix AND (:end IS NULL OR key < :end)
ORDER BY key
LIMIT :limit;
