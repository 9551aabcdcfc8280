-- name: findValues :all
-- The array comes from a subquery, so that the plan is always one look-up in the index for each key.
SELECT key, value
FROM kvs
WHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON)));

-- name: findAndLockValues :all
-- Locks the rows, and by an advisory lock also the keys that have none yet. The order keeps two of these from
-- waiting for each other.
WITH locked AS (
  SELECT count(pg_advisory_xact_lock(2018110552, hash)) AS count
  FROM (
    SELECT DISTINCT hashtext(key) AS hash
    FROM json_array_elements_text(:keys::JSON) AS key
    ORDER BY hash
  ) AS hashes
)
SELECT kvs.key, kvs.value
FROM kvs, locked
WHERE kvs.key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON))) AND locked.count > 0
ORDER BY kvs.key COLLATE "C"
FOR UPDATE OF kvs;

-- name: putValues :run
-- The keys and the values' texts are two arrays. Key order keeps two of these from waiting for each other.
INSERT INTO kvs (key, value, modified_on)
SELECT key, value, :now
FROM ROWS FROM (json_array_elements_text(:keys::JSON), json_array_elements_text(:values::JSON)) AS entries (key, value)
ORDER BY key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET
  value = excluded.value,
  modified_on = excluded.modified_on;

-- name: deleteValues :run
DELETE FROM kvs
WHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON)));

-- name: swapValues :all
-- Compare and set, in one statement. Each change is an array of its kind, a key, the old value and the new one:
--   put   stores the value, whatever was there
--   add   stores the value when the key is absent
--   swap  replaces the old value; removes the key when the new one is null
-- Returns the keys that were changed. READ COMMITTED looks at a row again after it waited for its lock, so the
-- comparison holds. Rows are locked in key order, so that two of these do not wait for each other.
WITH change AS (
  SELECT entry ->> 0 AS kind, entry ->> 1 AS key, entry ->> 2 AS old, entry ->> 3 AS value
  FROM json_array_elements(:changes::JSON) AS entry
),
locked AS (
  SELECT kvs.key
  FROM kvs
  JOIN change ON change.key = kvs.key
  WHERE change.kind = 'put' OR (change.kind = 'swap' AND COALESCE(kvs.value, 'null') IS NOT DISTINCT FROM change.old)
  ORDER BY kvs.key COLLATE "C"
  FOR UPDATE OF kvs
),
swapped AS (
  UPDATE kvs SET
    value = change.value,
    modified_on = :now
  FROM change, locked
  WHERE kvs.key = change.key
    AND kvs.key = locked.key
    AND change.kind = 'swap'
    AND change.value IS NOT NULL
    AND COALESCE(kvs.value, 'null') IS NOT DISTINCT FROM change.old
  RETURNING kvs.key
),
removed AS (
  DELETE FROM kvs
  USING change, locked
  WHERE kvs.key = change.key
    AND kvs.key = locked.key
    AND change.kind = 'swap'
    AND change.value IS NULL
    AND COALESCE(kvs.value, 'null') IS NOT DISTINCT FROM change.old
  RETURNING kvs.key
),
stored AS (
  INSERT INTO kvs (key, value, modified_on)
  SELECT key, value, :now
  FROM change
  WHERE kind = 'put' AND (SELECT count(*) FROM locked) >= 0
  ORDER BY key COLLATE "C"
  ON CONFLICT (key) DO UPDATE SET
    value = excluded.value,
    modified_on = excluded.modified_on
  RETURNING key
),
added AS (
  INSERT INTO kvs (key, value, modified_on)
  SELECT key, value, :now
  FROM change
  WHERE kind = 'add' AND (SELECT count(*) FROM locked) >= 0
  ORDER BY key COLLATE "C"
  ON CONFLICT (key) DO NOTHING
  RETURNING key
)
SELECT key FROM swapped
UNION ALL
SELECT key FROM removed
UNION ALL
SELECT key FROM stored
UNION ALL
SELECT key FROM added;

-- name: listValues :all
-- The next page in key order, which is that of code points as in SQLite.
SELECT key, value, modified_on AS "modifiedOn"
FROM kvs
WHERE key COLLATE "C" > :after AND key COLLATE "C" >= :prefix
  AND (CAST(:end AS TEXT) IS NULL OR key COLLATE "C" < :end)
ORDER BY key COLLATE "C"
LIMIT :limit;
