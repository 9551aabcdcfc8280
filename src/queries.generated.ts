// Made from sql/ by "npm run sql". Change it there.

export const ownQueries = {
  addLoneValue: {
    call: 'all',
    text: {
      postgres: "INSERT INTO kvs(key, value, modified_on)\nSELECT :key, :value, :now\nWHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL ON CONFLICT (key) DO NOTHING\nRETURNING key"
    }
  },
  addMigration: {
    call: 'run',
    text: "INSERT INTO duolect_migrations(module, name, checksum, applied_on)\nVALUES (:module, :name, :checksum, :now)"
  },
  addSequence: {
    call: 'run',
    text: {
      sqlite: "INSERT INTO sqlite_sequence(name, seq)\nSELECT :name, :largestId\nWHERE EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name) AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :name)"
    }
  },
  addValues: {
    call: 'all',
    text: {
      postgres: "INSERT INTO kvs(key, value, modified_on)\nSELECT key, value, :now\nFROM ROWS\nFROM (json_array_elements_text(:keys::JSON), json_array_elements_text(:values::JSON)) AS entries(key, value)\nWHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL\nORDER BY key COLLATE \"C\" ON CONFLICT (key) DO NOTHING\nRETURNING key"
    }
  },
  countEnforcedForeignKeys: {
    call: 'one',
    text: {
      sqlite: "SELECT foreign_keys AS count\nFROM pragma_foreign_keys"
    }
  },
  countMigrationTables: {
    call: 'one',
    text: {
      sqlite: "SELECT count(*) AS count\nFROM sqlite_master\nWHERE type = 'table' AND name = 'duolect_migrations'",
      postgres: "SELECT (to_regclass('duolect_migrations') IS NOT NULL)::INTEGER AS count"
    }
  },
  countTables: {
    call: 'one',
    text: {
      sqlite: "SELECT count(*) AS count\nFROM sqlite_master\nWHERE type = 'table' AND name IN ('kvs', 'users')",
      postgres: "SELECT (to_regclass('kvs') IS NOT NULL)::INTEGER + (to_regclass('users') IS NOT NULL)::INTEGER AS count"
    }
  },
  createMigrationTable: {
    call: 'exec',
    text: {
      sqlite: "CREATE TABLE IF NOT EXISTS duolect_migrations(\n  module TEXT NOT NULL,\n  name TEXT NOT NULL,\n  checksum TEXT,\n  applied_on TIMESTAMP NOT NULL,\n  PRIMARY KEY (module, name)\n);",
      postgres: "SELECT pg_advisory_xact_lock(2018110551);\nCREATE TABLE IF NOT EXISTS duolect_migrations(\n  module TEXT NOT NULL,\n  name TEXT NOT NULL,\n  checksum TEXT,\n  applied_on TIMESTAMPTZ NOT NULL,\n  PRIMARY KEY (module, name)\n);"
    }
  },
  createTables: {
    call: 'exec',
    text: {
      sqlite: "CREATE TABLE IF NOT EXISTS kvs(\n  key TEXT NOT NULL PRIMARY KEY,\n  value TEXT,\n  modified_on TIMESTAMP\n);\nCREATE TABLE IF NOT EXISTS users(\n  id TEXT NOT NULL PRIMARY KEY,\n  \"userId\" TEXT NOT NULL,\n  platform TEXT NOT NULL,\n  gender TEXT,\n  timezone REAL,\n  picture_url TEXT,\n  first_name TEXT,\n  last_name TEXT,\n  locale TEXT,\n  created_on TIMESTAMP NOT NULL\n);",
      postgres: "SELECT pg_advisory_xact_lock(2018110551);\nCREATE TABLE IF NOT EXISTS kvs(\n  key TEXT COLLATE \"C\" NOT NULL PRIMARY KEY,\n  value TEXT,\n  modified_on TIMESTAMPTZ\n);\nCREATE TABLE IF NOT EXISTS users(\n  id TEXT NOT NULL PRIMARY KEY,\n  \"userId\" TEXT NOT NULL,\n  platform TEXT NOT NULL,\n  gender TEXT,\n  timezone DOUBLE PRECISION,\n  picture_url TEXT,\n  first_name TEXT,\n  last_name TEXT,\n  locale TEXT,\n  created_on TIMESTAMPTZ NOT NULL\n);"
    }
  },
  deletePrefix: {
    call: 'run',
    text: {
      sqlite: "DELETE FROM kvs\nWHERE key >= :prefix AND (:end IS NULL OR key < :end)"
    }
  },
  deleteValues: {
    call: 'run',
    text: {
      sqlite: "DELETE FROM kvs\nWHERE key IN (SELECT value FROM json_each(:keys))"
    }
  },
  describeServer: {
    call: 'one',
    text: {
      postgres: "SELECT pg_is_in_recovery() AS \"isStandby\", current_setting('transaction_read_only') = 'on' AS \"isReadOnly\""
    }
  },
  findAndLockValues: {
    call: 'all',
    text: {
      postgres: "SELECT key, value\nFROM kvs\nWHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON))) AND (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL\nORDER BY key COLLATE \"C\" FOR UPDATE"
    }
  },
  findDanglingRows: {
    call: 'all',
    text: {
      sqlite: "SELECT \"table\" AS child, parent, count(*) AS count\nFROM pragma_foreign_key_check\nGROUP BY 1, 2\nORDER BY 1, 2"
    }
  },
  findForeignKeys: {
    call: 'all',
    text: {
      sqlite: "SELECT DISTINCT children.name AS child, keys.\"table\" AS parent\nFROM sqlite_master AS children, pragma_foreign_key_list(children.name) AS keys\nWHERE children.type = 'table' AND lower(keys.\"table\") <> lower(children.name)"
    }
  },
  findIndexesAndTriggers: {
    call: 'all',
    text: {
      sqlite: "SELECT type, name, tbl_name AS \"tableName\", sql\nFROM sqlite_master\nWHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    }
  },
  findLockedKeys: {
    call: 'all',
    text: {
      postgres: "WITH unlocked AS (SELECT key FROM kvs WHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON))) FOR UPDATE SKIP LOCKED)\nSELECT key\nFROM kvs\nWHERE key = ANY (ARRAY(SELECT json_array_elements_text(:keys::JSON))) AND key NOT IN (SELECT key FROM unlocked)"
    }
  },
  findMigrations: {
    call: 'all',
    text: "SELECT name, checksum\nFROM duolect_migrations\nWHERE module = :module"
  },
  findSequences: {
    call: 'all',
    text: {
      sqlite: "SELECT name, seq AS \"largestId\"\nFROM sqlite_sequence"
    }
  },
  findTables: {
    call: 'all',
    text: {
      sqlite: "SELECT name\nFROM sqlite_master\nWHERE type = 'table'"
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
  listKeys: {
    call: 'all',
    text: {
      sqlite: "SELECT key\nFROM kvs\nWHERE key > :after AND key >= :prefix AND (:end IS NULL OR key < :end)\nORDER BY key\nLIMIT :limit",
      postgres: "SELECT key\nFROM kvs\nWHERE key COLLATE \"C\" > :after AND key COLLATE \"C\" >= :prefix AND (CAST(:end AS TEXT) IS NULL OR key COLLATE \"C\" < :end)\nORDER BY key COLLATE \"C\"\nLIMIT CAST(:limit AS BIGINT)"
    }
  },
  listValues: {
    call: 'all',
    text: {
      sqlite: "SELECT key, value, modified_on AS \"modifiedOn\"\nFROM kvs\nWHERE key > :after AND key >= :prefix AND (:end IS NULL OR key < :end)\nORDER BY key\nLIMIT :limit",
      postgres: "SELECT key, value, modified_on AS \"modifiedOn\"\nFROM kvs\nWHERE key COLLATE \"C\" > :after AND key COLLATE \"C\" >= :prefix AND (CAST(:end AS TEXT) IS NULL OR key COLLATE \"C\" < :end)\nORDER BY key COLLATE \"C\"\nLIMIT CAST(:limit AS BIGINT)"
    }
  },
  lockMigrations: {
    call: 'all',
    text: {
      postgres: "SELECT pg_advisory_xact_lock(2018110551) IS NULL AS locked"
    }
  },
  moveSequence: {
    call: 'run',
    text: {
      sqlite: "UPDATE sqlite_sequence\nSET seq = max(seq, :largestId)\nWHERE name = :name"
    }
  },
  putLoneValue: {
    call: 'run',
    text: {
      postgres: "INSERT INTO kvs(key, value, modified_on)\nSELECT :key, :value, :now\nWHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified_on = excluded.modified_on"
    }
  },
  putValue: {
    call: 'run',
    text: {
      sqlite: "INSERT INTO kvs(key, value, modified_on)\nVALUES (:key, :value, :now) ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified_on = excluded.modified_on"
    }
  },
  putValues: {
    call: 'run',
    text: {
      postgres: "INSERT INTO kvs(key, value, modified_on)\nSELECT key, value, :now\nFROM ROWS\nFROM (json_array_elements_text(:keys::JSON), json_array_elements_text(:values::JSON)) AS entries(key, value)\nWHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL\nORDER BY key COLLATE \"C\" ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified_on = excluded.modified_on"
    }
  },
  removeLoneValue: {
    call: 'all',
    text: {
      postgres: "DELETE FROM kvs\nWHERE key = :key AND (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL\nRETURNING key"
    }
  },
  removeOldValues: {
    call: 'all',
    text: {
      postgres: "DELETE FROM kvs USING (SELECT key, old FROM ROWS FROM (json_array_elements_text(:keys::JSON), json_array_elements_text(:olds::JSON)) AS arrays(key, old) WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL ORDER BY key COLLATE \"C\" LIMIT(SELECT json_array_length(:keys::JSON))) AS entries\nWHERE kvs.key = entries.key AND COALESCE(kvs.value, 'null') = entries.old\nRETURNING kvs.key"
    }
  },
  removePrefix: {
    call: 'run',
    text: {
      postgres: "DELETE FROM kvs\nWHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL AND key COLLATE \"C\" >= :prefix AND (CAST(:end AS TEXT) IS NULL OR key COLLATE \"C\" < :end)"
    }
  },
  removeValues: {
    call: 'all',
    text: {
      postgres: "DELETE FROM kvs USING (SELECT key FROM json_array_elements_text(:keys::JSON) AS key WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL ORDER BY key COLLATE \"C\" LIMIT(SELECT json_array_length(:keys::JSON))) AS entries\nWHERE kvs.key = entries.key\nRETURNING kvs.key"
    }
  },
  saveUser: {
    call: 'one',
    text: "INSERT INTO users(id, \"userId\", platform, gender, timezone, picture_url, first_name, last_name, locale, created_on)\nVALUES (:id, :userId, :platform, :gender, :timezone, :picture_url, :first_name, :last_name, :locale, :now) ON CONFLICT (id) DO UPDATE SET gender = CASE WHEN :gives_gender THEN excluded.gender ELSE users.gender END, timezone = CASE WHEN :gives_timezone THEN excluded.timezone ELSE users.timezone END, picture_url = CASE WHEN :gives_picture_url THEN excluded.picture_url ELSE users.picture_url END, first_name = CASE WHEN :gives_first_name THEN excluded.first_name ELSE users.first_name END, last_name = CASE WHEN :gives_last_name THEN excluded.last_name ELSE users.last_name END, locale = CASE WHEN :gives_locale THEN excluded.locale ELSE users.locale END\nRETURNING id, \"userId\", platform, gender, timezone, picture_url, first_name, last_name, locale, created_on"
  },
  swapLoneValue: {
    call: 'all',
    text: {
      postgres: "UPDATE kvs\nSET value = :value, modified_on = :now\nWHERE key = :key AND COALESCE(value, 'null') = :old AND (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL\nRETURNING key"
    }
  },
  swapValues: {
    call: 'all',
    text: {
      postgres: "UPDATE kvs\nSET value = entries.value, modified_on = :now\nFROM (SELECT key, old, value FROM ROWS FROM (json_array_elements_text(:keys::JSON), json_array_elements_text(:olds::JSON), json_array_elements_text(:values::JSON)) AS arrays(key, old, value) WHERE (SELECT CASE WHEN :wait = '' THEN '' ELSE set_config('lock_timeout', :wait, TRUE) END) IS NOT NULL ORDER BY key COLLATE \"C\" LIMIT(SELECT json_array_length(:keys::JSON))) AS entries\nWHERE kvs.key = entries.key AND COALESCE(kvs.value, 'null') = entries.old\nRETURNING kvs.key"
    }
  }
} as const
