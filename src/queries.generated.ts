// Made from sql/ by "npm run sql". Change it there.

export const ownQueries = {
  countTables: {
    call: 'one',
    text: {
      sqlite: "SELECT count(*) AS count\nFROM sqlite_master\nWHERE type = 'table' AND name IN ('kvs', 'users')",
      postgres: "SELECT (to_regclass('kvs') IS NOT NULL)::INTEGER + (to_regclass('users') IS NOT NULL)::INTEGER AS count"
    }
  },
  createTables: {
    call: 'exec',
    text: {
      sqlite: "CREATE TABLE IF NOT EXISTS kvs (\n  key TEXT NOT NULL PRIMARY KEY,\n  value TEXT,\n  modified_on TIMESTAMP\n);\nCREATE TABLE IF NOT EXISTS users (\n  id TEXT NOT NULL PRIMARY KEY,\n  \"userId\" TEXT NOT NULL,\n  platform TEXT NOT NULL,\n  gender TEXT,\n  timezone REAL,\n  picture_url TEXT,\n  first_name TEXT,\n  last_name TEXT,\n  locale TEXT,\n  created_on TIMESTAMP NOT NULL\n);",
      postgres: "SELECT pg_advisory_xact_lock(2018110551);\nCREATE TABLE IF NOT EXISTS kvs (\n  key TEXT COLLATE \"C\" NOT NULL PRIMARY KEY,\n  value TEXT,\n  modified_on TIMESTAMPTZ\n);\nCREATE TABLE IF NOT EXISTS users (\n  id TEXT NOT NULL PRIMARY KEY,\n  \"userId\" TEXT NOT NULL,\n  platform TEXT NOT NULL,\n  gender TEXT,\n  timezone DOUBLE PRECISION,\n  picture_url TEXT,\n  first_name TEXT,\n  last_name TEXT,\n  locale TEXT,\n  created_on TIMESTAMPTZ NOT NULL\n);"
    }
  },
  deleteValues: {
    call: 'run',
    text: {
      sqlite: "DELETE FROM kvs\nWHERE key IN (SELECT value FROM json_each(:keys))",
      postgres: "DELETE FROM kvs\nWHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON)))"
    }
  },
  findAndLockValues: {
    call: 'all',
    text: {
      sqlite: "SELECT key, value\nFROM kvs\nWHERE key IN (SELECT value FROM json_each(:keys))",
      postgres: "WITH locked AS (\n  SELECT count(pg_advisory_xact_lock(2018110552, hash)) AS count\n  FROM (\n    SELECT DISTINCT hashtext(key) AS hash\n    FROM json_array_elements_text(:keys::JSON) AS key\n    ORDER BY hash\n  ) AS hashes\n)\nSELECT kvs.key, kvs.value\nFROM kvs, locked\nWHERE kvs.key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON))) AND locked.count > 0\nORDER BY kvs.key COLLATE \"C\"\nFOR UPDATE OF kvs"
    }
  },
  findValue: {
    call: 'maybeOne',
    text: "SELECT value\nFROM kvs\nWHERE key = :key"
  },
  findValues: {
    call: 'all',
    text: {
      sqlite: "SELECT key, value\nFROM kvs\nWHERE key IN (SELECT value FROM json_each(:keys))",
      postgres: "SELECT key, value\nFROM kvs\nWHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON)))"
    }
  },
  listValues: {
    call: 'all',
    text: {
      sqlite: "SELECT key, value, modified_on AS \"modifiedOn\"\nFROM kvs\nWHERE key > :after AND key >= :prefix AND (:end IS NULL OR key < :end)\nORDER BY key\nLIMIT :limit",
      postgres: "SELECT key, value, modified_on AS \"modifiedOn\"\nFROM kvs\nWHERE key COLLATE \"C\" > :after AND key COLLATE \"C\" >= :prefix\n  AND (CAST(:end AS TEXT) IS NULL OR key COLLATE \"C\" < :end)\nORDER BY key COLLATE \"C\"\nLIMIT :limit"
    }
  },
  putValue: {
    call: 'run',
    text: "INSERT INTO kvs (key, value, modified_on)\nVALUES (:key, :value, :now)\nON CONFLICT (key) DO UPDATE SET\n  value = excluded.value,\n  modified_on = excluded.modified_on"
  },
  putValues: {
    call: 'run',
    text: {
      sqlite: "INSERT INTO kvs (key, value, modified_on)\nSELECT max(key), max(value), :now\nFROM (\n  SELECT key AS place, value AS key, NULL AS value\n  FROM json_each(:keys)\n  UNION ALL\n  SELECT key, NULL, value\n  FROM json_each(:values)\n)\nWHERE TRUE\nGROUP BY place\nON CONFLICT (key) DO UPDATE SET\n  value = excluded.value,\n  modified_on = excluded.modified_on",
      postgres: "INSERT INTO kvs (key, value, modified_on)\nSELECT key, value, :now\nFROM ROWS FROM (json_array_elements_text(:keys::JSON), json_array_elements_text(:values::JSON)) AS entries (key, value)\nORDER BY key COLLATE \"C\"\nON CONFLICT (key) DO UPDATE SET\n  value = excluded.value,\n  modified_on = excluded.modified_on"
    }
  },
  saveUser: {
    call: 'one',
    text: "INSERT INTO users (\n  id, \"userId\", platform, gender, timezone, picture_url, first_name, last_name, locale, created_on\n)\nVALUES (\n  :id, :userId, :platform, :gender, :timezone, :picture_url, :first_name, :last_name, :locale, :now\n)\nON CONFLICT (id) DO UPDATE SET\n  gender = CASE WHEN :gives_gender THEN excluded.gender ELSE users.gender END,\n  timezone = CASE WHEN :gives_timezone THEN excluded.timezone ELSE users.timezone END,\n  picture_url = CASE WHEN :gives_picture_url THEN excluded.picture_url ELSE users.picture_url END,\n  first_name = CASE WHEN :gives_first_name THEN excluded.first_name ELSE users.first_name END,\n  last_name = CASE WHEN :gives_last_name THEN excluded.last_name ELSE users.last_name END,\n  locale = CASE WHEN :gives_locale THEN excluded.locale ELSE users.locale END\nRETURNING id, \"userId\", platform, gender, timezone, picture_url, first_name, last_name, locale, created_on"
  },
  swapValues: {
    call: 'all',
    text: {
      postgres: "WITH change AS (\n  SELECT entry ->> 0 AS kind, entry ->> 1 AS key, entry ->> 2 AS old, entry ->> 3 AS value\n  FROM json_array_elements(:changes::JSON) AS entry\n),\nlocked AS (\n  SELECT kvs.key\n  FROM kvs\n  JOIN change ON change.key = kvs.key\n  WHERE change.kind = 'put' OR (change.kind = 'swap' AND COALESCE(kvs.value, 'null') IS NOT DISTINCT FROM change.old)\n  ORDER BY kvs.key COLLATE \"C\"\n  FOR UPDATE OF kvs\n),\nswapped AS (\n  UPDATE kvs SET\n    value = change.value,\n    modified_on = :now\n  FROM change, locked\n  WHERE kvs.key = change.key\n    AND kvs.key = locked.key\n    AND change.kind = 'swap'\n    AND change.value IS NOT NULL\n    AND COALESCE(kvs.value, 'null') IS NOT DISTINCT FROM change.old\n  RETURNING kvs.key\n),\nremoved AS (\n  DELETE FROM kvs\n  USING change, locked\n  WHERE kvs.key = change.key\n    AND kvs.key = locked.key\n    AND change.kind = 'swap'\n    AND change.value IS NULL\n    AND COALESCE(kvs.value, 'null') IS NOT DISTINCT FROM change.old\n  RETURNING kvs.key\n),\nstored AS (\n  INSERT INTO kvs (key, value, modified_on)\n  SELECT key, value, :now\n  FROM change\n  WHERE kind = 'put' AND (SELECT count(*) FROM locked) >= 0\n  ORDER BY key COLLATE \"C\"\n  ON CONFLICT (key) DO UPDATE SET\n    value = excluded.value,\n    modified_on = excluded.modified_on\n  RETURNING key\n),\nadded AS (\n  INSERT INTO kvs (key, value, modified_on)\n  SELECT key, value, :now\n  FROM change\n  WHERE kind = 'add' AND (SELECT count(*) FROM locked) >= 0\n  ORDER BY key COLLATE \"C\"\n  ON CONFLICT (key) DO NOTHING\n  RETURNING key\n)\nSELECT key FROM swapped\nUNION ALL\nSELECT key FROM removed\nUNION ALL\nSELECT key FROM stored\nUNION ALL\nSELECT key FROM added"
    }
  }
} as const
