// Made from sql/ by "npm run sql". Change it there.

export const sqliteQueries = {
  countTables: {
    call: 'one',
    text: "SELECT count(*) AS count\nFROM sqlite_master\nWHERE type = 'table' AND name IN ('kvs', 'users')"
  },
  createTables: {
    call: 'exec',
    text: "CREATE TABLE IF NOT EXISTS kvs (\n  key TEXT NOT NULL PRIMARY KEY,\n  value TEXT,\n  modified_on TIMESTAMP\n);\nCREATE TABLE IF NOT EXISTS users (\n  id TEXT NOT NULL PRIMARY KEY,\n  \"userId\" TEXT NOT NULL,\n  platform TEXT NOT NULL,\n  gender TEXT,\n  timezone REAL,\n  picture_url TEXT,\n  first_name TEXT,\n  last_name TEXT,\n  locale TEXT,\n  created_on TIMESTAMP NOT NULL\n);"
  },
  deleteValues: {
    call: 'run',
    text: "DELETE FROM kvs\nWHERE key IN (SELECT value FROM json_each(:keys))"
  },
  findAndLockValues: {
    call: 'all',
    text: "SELECT key, value\nFROM kvs\nWHERE key IN (SELECT value FROM json_each(:keys))"
  },
  findValue: {
    call: 'maybeOne',
    text: "SELECT value\nFROM kvs\nWHERE key = :key"
  },
  findValues: {
    call: 'all',
    text: "SELECT key, value\nFROM kvs\nWHERE key IN (SELECT value FROM json_each(:keys))"
  },
  listValues: {
    call: 'all',
    text: "SELECT key, value, modified_on AS \"modifiedOn\"\nFROM kvs\nWHERE key > :after AND key >= :prefix AND (:end IS NULL OR key < :end)\nORDER BY key\nLIMIT :limit"
  },
  putValue: {
    call: 'run',
    text: "INSERT INTO kvs (key, value, modified_on)\nVALUES (:key, :value, :now)\nON CONFLICT (key) DO UPDATE SET\n  value = excluded.value,\n  modified_on = excluded.modified_on"
  },
  putValues: {
    call: 'run',
    text: "INSERT INTO kvs (key, value, modified_on)\nSELECT max(key), max(value), :now\nFROM (\n  SELECT key AS place, value AS key, NULL AS value\n  FROM json_each(:keys)\n  UNION ALL\n  SELECT key, NULL, value\n  FROM json_each(:values)\n)\nWHERE TRUE\nGROUP BY place\nON CONFLICT (key) DO UPDATE SET\n  value = excluded.value,\n  modified_on = excluded.modified_on"
  },
  saveUser: {
    call: 'one',
    text: "INSERT INTO users (\n  id, \"userId\", platform, gender, timezone, picture_url, first_name, last_name, locale, created_on\n)\nVALUES (\n  :id, :userId, :platform, :gender, :timezone, :picture_url, :first_name, :last_name, :locale, :now\n)\nON CONFLICT (id) DO UPDATE SET\n  gender = CASE WHEN :gives_gender THEN excluded.gender ELSE users.gender END,\n  timezone = CASE WHEN :gives_timezone THEN excluded.timezone ELSE users.timezone END,\n  picture_url = CASE WHEN :gives_picture_url THEN excluded.picture_url ELSE users.picture_url END,\n  first_name = CASE WHEN :gives_first_name THEN excluded.first_name ELSE users.first_name END,\n  last_name = CASE WHEN :gives_last_name THEN excluded.last_name ELSE users.last_name END,\n  locale = CASE WHEN :gives_locale THEN excluded.locale ELSE users.locale END\nRETURNING id, \"userId\", platform, gender, timezone, picture_url, first_name, last_name, locale, created_on"
  }
} as const
