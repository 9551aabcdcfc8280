-- name: findValue :maybeOne
SELECT value
FROM kvs
WHERE key = :key;
