-- Keys and values come as JSON arrays of strings: an array of Postgres would need another form of each string. Each
-- statement sorts its keys, so that two of them do not wait for each other; in a small table, which the planner reads as
-- a whole, the order may be that of the rows, and :wait ends such a wait. A :wait that is not empty is how long the
-- statement waits for a lock, in ms; set_config() sets it for the statement's own transaction. The planner expects 100
-- elements of an array of JSON, for which it would read the whole of a table with 10 000 keys; of those below a LIMIT
-- that it does not know it expects a tenth, and looks up each key in the index from about 2000 keys on.

-- name: findValues :all
-- The array comes from a subquery, so that the plan is always one look-up in the index for each key.
SELECT key, value
FROM kvs
WHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON)));

-- name: findAndLockValues :all
SELECT key, value
FROM kvs
WHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON)))
  AND (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
ORDER BY key COLLATE "C"
FOR UPDATE;

-- name: findLockedKeys :all
-- Which of the keys have rows that somebody else has locked.
WITH unlocked AS (
  SELECT key
  FROM kvs
  WHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON)))
  FOR UPDATE SKIP LOCKED
)
SELECT key
FROM kvs
WHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON))) AND key NOT IN (SELECT key FROM unlocked);

-- name: putLoneValue :run
-- Stores one value, whatever was there.
INSERT INTO kvs (key, value, modified_on)
SELECT :key, :value, :now
WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
ON CONFLICT (key) DO UPDATE SET
  value = excluded.value,
  modified_on = excluded.modified_on;

-- name: putValues :run
-- Stores values, whatever was there.
INSERT INTO kvs (key, value, modified_on)
SELECT key, value, :now
FROM ROWS FROM (json_array_elements_text(:keys::JSON), json_array_elements_text(:values::JSON)) AS entries (key, value)
WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
ORDER BY key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET
  value = excluded.value,
  modified_on = excluded.modified_on;

-- name: addValues :all
-- Stores values of keys that are absent, and returns those keys.
INSERT INTO kvs (key, value, modified_on)
SELECT key, value, :now
FROM ROWS FROM (json_array_elements_text(:keys::JSON), json_array_elements_text(:values::JSON)) AS entries (key, value)
WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
ORDER BY key COLLATE "C"
ON CONFLICT (key) DO NOTHING
RETURNING key;

-- name: addLoneValue :all
-- Stores one value of a key that is absent, and returns that key.
INSERT INTO kvs (key, value, modified_on)
SELECT :key, :value, :now
WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
ON CONFLICT (key) DO NOTHING
RETURNING key;

-- name: swapValues :all
-- Replaces values that are still the old ones, and returns their keys. READ COMMITTED looks at a row again after it
-- waited for its lock, so the comparison holds. A NULL counts as JSON's null.
UPDATE kvs SET
  value = entries.value,
  modified_on = :now
FROM (
  SELECT key, old, value
  FROM ROWS FROM (
    json_array_elements_text(:keys::JSON),
    json_array_elements_text(:olds::JSON),
    json_array_elements_text(:values::JSON)
  ) AS arrays (key, old, value)
  WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
  ORDER BY key COLLATE "C"
  LIMIT (SELECT json_array_length(:keys::JSON))
) AS entries
WHERE kvs.key = entries.key AND COALESCE(kvs.value, 'null') = entries.old
RETURNING kvs.key;

-- name: swapLoneValue :all
-- Replaces one value that is still the old one, and returns its key.
UPDATE kvs SET
  value = :value,
  modified_on = :now
WHERE key = :key AND COALESCE(value, 'null') = :old
  AND (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
RETURNING key;

-- name: removeOldValues :all
-- Removes values that are still the old ones, and returns their keys.
DELETE FROM kvs
USING (
  SELECT key, old
  FROM ROWS FROM (json_array_elements_text(:keys::JSON), json_array_elements_text(:olds::JSON)) AS arrays (key, old)
  WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
  ORDER BY key COLLATE "C"
  LIMIT (SELECT json_array_length(:keys::JSON))
) AS entries
WHERE kvs.key = entries.key AND COALESCE(kvs.value, 'null') = entries.old
RETURNING kvs.key;

-- name: removeValues :all
-- Removes keys, and returns those that were there.
DELETE FROM kvs
USING (
  SELECT key
  FROM json_array_elements_text(:keys::JSON) AS key
  WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
  ORDER BY key COLLATE "C"
  LIMIT (SELECT json_array_length(:keys::JSON))
) AS entries
WHERE kvs.key = entries.key
RETURNING kvs.key;

-- name: removeLoneValue :all
-- Removes one key, and returns it if it was there.
DELETE FROM kvs
WHERE key = :key
  AND (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
RETURNING key;

-- name: removePrefix :run
DELETE FROM kvs
WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL
  AND key COLLATE "C" >= :prefix AND (CAST(:end AS TEXT) IS NULL OR key COLLATE "C" < :end);

-- name: listKeys :all
-- The next page of keys.
SELECT key
FROM kvs
WHERE key COLLATE "C" > :after AND key COLLATE "C" >= :prefix
  AND (CAST(:end AS TEXT) IS NULL OR key COLLATE "C" < :end)
ORDER BY key COLLATE "C"
LIMIT :limit;

-- name: listValues :all
-- The next page in key order, which is that of code points as in SQLite.
SELECT key, value, modified_on AS "modifiedOn"
FROM kvs
WHERE key COLLATE "C" > :after AND key COLLATE "C" >= :prefix
  AND (CAST(:end AS TEXT) IS NULL OR key COLLATE "C" < :end)
ORDER BY key COLLATE "C"
LIMIT :limit;
