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
-- The keys and the values' texts are two arrays; grouping brings together what has the same place in them.
INSERT INTO kvs (key, value, modified_on)
SELECT max(key), max(value), :now
FROM (
  SELECT key AS place, value AS key, NULL AS value
  FROM json_each(:keys)
  UNION ALL
  SELECT key, NULL, value
  FROM json_each(:values)
)
WHERE TRUE
GROUP BY place
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
