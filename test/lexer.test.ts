import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Dialect } from '../src/index.ts'
import { controlsTransaction, statementsOf, tokens } from '../src/lexer.ts'

/** The tokens as text, each behind its kind. */
function read(text: string, dialect: Dialect): string[] {
  return [...tokens(text, dialect)].map(({ kind, start, end }) => `${kind} ${text.slice(start, end)}`)
}

function split(script: string, dialect: Dialect): string[] {
  return statementsOf(script, dialect).map(({ start, end }) => script.slice(start, end))
}

function wordsOf(script: string, dialect: Dialect = 'sqlite'): readonly string[] {
  return statementsOf(script, dialect)[0]?.firstWords ?? []
}

describe('Tokens', () => {
  test('are words, names, strings, numbers, parameters, symbols and comments', () => {
    assert.deepEqual(read(`SELECT "a", 'it''s', 1.5e3, $1, :b -- end`, 'sqlite'), [
      'word SELECT',
      'name "a"',
      'symbol ,',
      "string 'it''s'",
      'symbol ,',
      'number 1.5e3',
      'symbol ,',
      'positional $1',
      'symbol ,',
      'named :b',
      'comment -- end'
    ])
  })

  test('know whether they begin an element of a list', () => {
    const text = 'a IN (1, $1 + $2) AND b = ANY (/* c */ $3) AND c IN (SELECT d, $4) AND e = ANY (ARRAY[$5, $6]) AND f($7)'
    const inList = [...tokens(text, 'postgres')].filter(({ kind, isInList }) => kind === 'positional' && isInList)
    assert.deepEqual(
      inList.map(({ start, end }) => text.slice(start, end)),
      ['$1', '$3']
    )
  })

  for (const [title, text, sqlite, postgres] of [
    ['backticks', '`a b`', ['name `a b`'], ['symbol `', 'word a', 'word b', 'symbol `']],
    ['brackets', '[a b]', ['name [a b]'], ['symbol [', 'word a', 'word b', 'symbol ]']],
    ['$$', '$$a$$', ['symbol $', 'symbol $', 'word a$$'], ['string $$a$$']],
    ["E'…'", "E'\\' '", ['word E', "string '\\'", "string '"], ["string E'\\' '"]],
    ['nested comments', '/* /* */ */', ['comment /* /* */', 'symbol *', 'symbol /'], ['comment /* /* */ */']]
  ] as const) {
    test(`are those of the dialect: ${title}`, () => {
      assert.deepEqual([read(text, 'sqlite'), read(text, 'postgres')], [sqlite, postgres])
    })
  }

  for (const [text, dialect, isParameter] of [
    ["json_object('a':b)", 'postgres', false],
    ["json_object('a' :b)", 'postgres', false],
    ['json_object(k :b)', 'postgres', false],
    ["json_object('a': :b)", 'postgres', true],
    ['json_objectagg(k:b)', 'postgres', false],
    ["json_object('k', CASE WHEN 1 THEN :b END)", 'postgres', true],
    ["json_object('k' VALUE :b)", 'postgres', true],
    ["json_object('k', a IS NOT :b)", 'postgres', true],
    ["json_object('k', CASE WHEN 1 THEN :b END)", 'sqlite', true],
    ['arr[CASE WHEN a THEN :b END]', 'postgres', true],
    ['arr[:b]', 'postgres', false],
    ['arr[1:b]', 'postgres', false],
    ['arr[1 :b]', 'postgres', false],
    ['arr[lo :b]', 'postgres', false],
    ['(arr)[:b]', 'postgres', false],
    ['arr[1][:b]', 'postgres', false],
    ['"arr"[:b]', 'postgres', false],
    ['arr[1 + :b]', 'postgres', true],
    ['arr[f(:b)]', 'postgres', true],
    ['arr[(:b)]', 'postgres', true],
    ['ARRAY[:b, 1]', 'postgres', true],
    ['ARRAY[[:b], [1]]', 'postgres', true],
    ['a IN (:b)', 'sqlite', true],
    ['LIMIT :b', 'sqlite', true],
    ['CASE WHEN :b THEN 1 END', 'sqlite', true],
    ['a::b', 'postgres', false],
    ['[a]=:b', 'sqlite', true]
  ] as const) {
    test(`${text} has ${isParameter ? 'a' : 'no'} parameter :b (${dialect})`, () => {
      assert.equal(read(text, dialect).includes('named :b'), isParameter)
    })
  }
})

describe('The statements of a script', () => {
  for (const [title, script, expected, dialects = ['sqlite', 'postgres']] of [
    ['end at semicolons', 'SELECT 1; SELECT 2;', ['SELECT 1', 'SELECT 2']],
    ['may lack the last semicolon', 'SELECT 1;SELECT 2', ['SELECT 1', 'SELECT 2']],
    ['are none in an empty text, a comment or lone semicolons', ' ; -- a;\n /* b; */ ;', []],
    ['begin behind comments', '-- one;\nSELECT 1 /* ; */; -- two', ['SELECT 1']],
    ['keep semicolons of strings and names', `SELECT ';', ";"; SELECT 1`, [`SELECT ';', ";"`, 'SELECT 1']],
    [
      'keep those of parentheses',
      'CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3',
      ['CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)', 'SELECT 3'],
      ['postgres']
    ],
    ['keep those of $$', 'DO $$ BEGIN; END $$; SELECT 1', ['DO $$ BEGIN; END $$', 'SELECT 1'], ['postgres']],
    [
      'keep those of a trigger’s body, also with CASE in it',
      'CREATE TRIGGER t AFTER INSERT ON a WHEN CASE WHEN 1 THEN 1 END BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM b; END; SELECT 1',
      [
        'CREATE TRIGGER t AFTER INSERT ON a WHEN CASE WHEN 1 THEN 1 END BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; DELETE FROM b; END',
        'SELECT 1'
      ],
      ['sqlite']
    ],
    [
      'keep those of BEGIN ATOMIC',
      'CREATE FUNCTION f() RETURNS INTEGER BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3',
      ['CREATE FUNCTION f() RETURNS INTEGER BEGIN ATOMIC SELECT 1; SELECT 2; END', 'SELECT 3'],
      ['postgres']
    ],
    [
      'do not take a column for a body',
      'CREATE TABLE s (id INTEGER, begin TEXT); CREATE INDEX i ON s (begin); SELECT 1',
      ['CREATE TABLE s (id INTEGER, begin TEXT)', 'CREATE INDEX i ON s (begin)', 'SELECT 1']
    ],
    [
      'do not take CASE of another statement for a body',
      'SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 1',
      ['SELECT CASE 1 WHEN 1 THEN 2 END', 'SELECT 1']
    ]
  ] as const) {
    for (const dialect of dialects as readonly Dialect[]) {
      test(`${title} (${dialect})`, () => assert.deepEqual(split(script, dialect), expected))
    }
  }

  test('have first words in capitals, up to the first that is none', () => {
    assert.deepEqual(wordsOf('-- a\n create temp table notes (id)'), ['CREATE', 'TEMP', 'TABLE', 'NOTES'])
    assert.deepEqual(wordsOf('PRAGMA foreign_keys = ON'), ['PRAGMA', 'FOREIGN_KEYS'])
    assert.deepEqual(wordsOf('(SELECT 1)'), [])
    assert.deepEqual(wordsOf('/* a */ WITH x AS (SELECT 1) DELETE FROM y'), ['WITH', 'X', 'AS'])
  })

  for (const [text, isControl] of [
    ['BEGIN', true],
    ['begin immediate', true],
    ['START TRANSACTION READ ONLY', true],
    ['COMMIT AND CHAIN', true],
    ['END', true],
    ['ABORT', true],
    ['ROLLBACK', true],
    ['ROLLBACK AND CHAIN', true],
    ["PREPARE TRANSACTION 'x'", true],
    ['ROLLBACK TO a', false],
    ['ROLLBACK TRANSACTION TO SAVEPOINT a', false],
    ['SAVEPOINT a', false],
    ['PREPARE x AS SELECT 1', false],
    ['SELECT 1', false],
    ['', false]
  ] as const) {
    test(`${JSON.stringify(text)} ${isControl ? 'begins or ends' : 'does not end'} a transaction`, () => {
      assert.equal(controlsTransaction(wordsOf(text, 'postgres')), isControl)
    })
  }
})
