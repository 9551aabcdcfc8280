-- name: findValue :maybeOne
SELECT value
FROM kvs
WHERE key = :key;

-- name: putValue :run
INSERT INTO kvs (key, value, modified_on)
VALUES (:key, :value, :now)
ON CONFLICT (key) DO UPDATE SET
  value = excluded.value,
  modified_on = excluded.modified_on;
