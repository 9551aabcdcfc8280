import { wordOfDeclared } from '../../lab/types.ts'
import { CERTAIN, certain, LIKELY, type Rule, signs } from './rule.ts'

const SQLITE_TEXT_FUNCTIONS = ['instr', 'printf', 'char', 'unicode', 'soundex']
const POSTGRES_TEXT_FUNCTIONS =
  'char_length character_length position strpos left right lpad rpad split_part initcap reverse repeat md5 starts_with btrim chr ascii to_hex encode decode translate overlay regexp_replace regexp_match regexp_matches quote_literal bit_length'.split(
    ' '
  )
const SQLITE_FUNCTIONS =
  'ifnull iif if last_insert_rowid changes total_changes likely unlikely likelihood zeroblob randomblob hex unhex quote sqlite_version log2 sqlite_source_id'.split(
    ' '
  )
const POSTGRES_FUNCTIONS =
  'generate_series array_agg unnest gen_random_uuid bool_and bool_or every num_nonnulls num_nulls array_length array_to_string string_to_array cardinality current_setting set_config pg_sleep nextval currval lastval setval width_bucket stddev variance stddev_pop stddev_samp var_pop var_samp corr div cbrt gcd lcm mode percentile_cont percentile_disc'.split(
    ' '
  )
const CATALOGUE = /^(?:sqlite_master|sqlite_schema|pragma_\w+|pg_\w+|tables|columns)$/i

export const NAMES: readonly Rule[] = [
  {
    name: 'folded-name',
    title: 'Postgres folds an unquoted name to lower case; SQLite keeps its capitals.',
    mend: 'Quote it: AS "firstName".',
    *find(evidence) {
      if (evidence.kind !== 'columns') return
      for (const { name, alias, level, expression } of evidence.query.items) {
        const isQuoted = alias?.isQuoted ?? expression.isQuoted ?? false
        const isNamed = alias !== undefined || expression.kind === 'column'
        if (isNamed && !isQuoted && level === 0 && name !== name.toLowerCase()) yield { at: alias?.start ?? expression, weight: CERTAIN }
      }
    }
  },
  {
    name: 'unnamed-column',
    title: 'SQLite names an unnamed expression by its text, Postgres by its function, or ?column?.',
    mend: 'Name it: count(*) AS n.',
    *find(evidence) {
      if (evidence.kind !== 'columns') return
      for (const { name, alias, level, expression } of evidence.query.items) {
        if (alias !== undefined || level !== 0 || expression.kind === 'column' || (expression.kind === 'word' && expression.name === '*'))
          continue
        yield { at: expression, weight: name === evidence.finding.column ? CERTAIN + 1 : CERTAIN - 1 }
      }
    }
  },
  {
    name: 'string-as-alias',
    title: 'SQLite accepts a string as an alias, and Postgres does not.',
    mend: 'Write AS "number".',
    *find(evidence) {
      if (!evidence.fails('postgres', 'syntax_error')) return
      const { words } = evidence.query
      for (const [i, { text, kind }] of words.entries())
        if (kind === 'word' && text === 'AS' && words[i + 1]?.kind === 'string') yield { at: words[i + 1]?.start ?? 0, weight: CERTAIN }
    }
  },
  {
    name: 'quoted-case',
    title: 'SQLite ignores the case of a quoted name, and Postgres does not.',
    mend: 'Write it as it was declared.',
    find: evidence =>
      evidence.fails('postgres', 'undefined_column', 'undefined_table')
        ? signs(
            CERTAIN,
            evidence.expressions(({ isQuoted, name, column }) => isQuoted === true && column !== undefined && column.name !== name)
          )
        : []
  },
  {
    name: 'rowid',
    title: 'Only SQLite has a rowid.',
    mend: 'Write the key of the table: id.',
    find: evidence =>
      evidence.fails('postgres', 'undefined_column')
        ? signs(
            CERTAIN,
            evidence.expressions(({ kind, name, column }) => kind === 'column' && column === undefined && /^(?:_?rowid_?|oid)$/i.test(name))
          )
        : []
  },
  {
    name: 'postgres-cast',
    title: 'Only Postgres has ::.',
    mend: 'Write CAST(age AS TEXT).',
    find: evidence => (evidence.fails('sqlite') ? signs(CERTAIN, evidence.wordsAt('::')) : [])
  },
  {
    name: 'collation-name',
    title: 'NOCASE and RTRIM are collations of SQLite, and those of languages are of Postgres.',
    mend: 'Compare in lower case: lower(name COLLATE "C") = lower(:name COLLATE "C").',
    find: evidence => (evidence.kind === 'error' ? signs(CERTAIN, evidence.operators('COLLATE')) : [])
  },
  {
    name: 'text-functions',
    title: 'instr() and printf() are functions of SQLite; position(), strpos(), left(), right(), lpad() and their like are of Postgres.',
    mend: 'Write substr(), replace(), length(), trim(), LIKE and ||, which both have.',
    *find(evidence) {
      if (evidence.fails('postgres')) yield* signs(CERTAIN, evidence.calls(...SQLITE_TEXT_FUNCTIONS))
      if (evidence.fails('sqlite')) yield* signs(CERTAIN, evidence.calls(...POSTGRES_TEXT_FUNCTIONS))
    }
  },
  {
    name: 'typeof',
    title: 'Only SQLite has typeof(), since each of its values has a type of its own.',
    mend: 'Ask for NULL, and let the column have one type: CASE WHEN age IS NULL THEN … END.',
    find: evidence => (evidence.fails('postgres') ? signs(CERTAIN, evidence.calls('typeof')) : [])
  },
  {
    name: 'sqlite-functions',
    title: 'Postgres has no ifnull(), iif(), hex() and other functions of SQLite.',
    mend: "Write coalesce(age, 0), CASE WHEN active THEN 'yes' ELSE 'no' END, and RETURNING id for the last id.",
    find: evidence => (evidence.fails('postgres') ? signs(CERTAIN, evidence.calls(...SQLITE_FUNCTIONS)) : [])
  },
  {
    name: 'postgres-functions',
    title: 'SQLite has no arrays, no generate_series(), and no statistics of Postgres.',
    mend: 'Count with WITH RECURSIVE, collect with string_agg(), give ids from JavaScript.',
    find: evidence => (evidence.fails('sqlite') ? signs(CERTAIN, evidence.calls(...POSTGRES_FUNCTIONS)) : [])
  },
  {
    name: 'catalogue',
    title: 'Each database has its own catalogue: sqlite_master and pragma_…(), pg_class and information_schema.',
    mend: 'Write a query for each database, on lines marked with -- @sqlite and -- @postgres.',
    *find(evidence) {
      if (evidence.kind !== 'error') return
      const { words } = evidence.query
      yield* signs(
        CERTAIN,
        words
          .filter(
            ({ kind, text }) =>
              kind === 'word' && CATALOGUE.test(text) && wordOfDeclared(text) === undefined && !/^(?:TABLES|COLUMNS)$/.test(text)
          )
          .map(({ start }) => start)
      )
      yield* signs(CERTAIN, evidence.wordsAt('INFORMATION_SCHEMA'))
    }
  }
]

export const FALLBACKS: readonly Rule[] = [
  {
    name: 'arguments',
    title: 'SQLite converts the arguments of a function; Postgres has it for other types alone.',
    mend: 'Cast the argument to the type that the function takes.',
    *find(evidence) {
      const [, name] = /function (?:pg_catalog\.)?(\w+)\(/.exec(evidence.finding.errors?.postgres?.message ?? '') ?? []
      if (evidence.fails('postgres', 'undefined_function') && !evidence.fails('sqlite') && name !== undefined)
        yield* signs(LIKELY, evidence.calls(name))
    }
  },
  {
    name: 'unknown-value',
    title: 'Postgres converts a string to the type that it is compared with or stored in, and fails where it cannot; SQLite does not.',
    mend: 'Bind values of the type of the column.',
    find: evidence =>
      evidence.fails('postgres', 'invalid_text_representation', 'invalid_datetime_format') && !evidence.fails('sqlite')
        ? certain(
            evidence.expressions(({ kind }) => kind === 'string' || kind === 'parameter'),
            LIKELY
          )
        : []
  }
]
