/** The adapter of docs/keyv.md passes Keyv's own suite. */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { after, afterEach, beforeEach, describe, test } from 'node:test'
import type { Database, Handle } from '../src/index.ts'
import { onEachDatabase } from './support/databases.ts'
import { folderFor } from './support/pages.ts'

/** What is used of Keyv, whose types are not installed where only the checks run. */
interface KeyvClass {
  new (options: {
    store: unknown
    namespace?: string
  }): {
    set(key: string, value: unknown): Promise<boolean>
    setMany(entries: readonly { key: string; value: unknown }[]): Promise<boolean[]>
    getMany(keys: readonly string[]): Promise<unknown[]>
    clear(): Promise<void>
  }
}

interface Expect {
  setState(state: object): void
  extractExpectedAssertionsErrors(): unknown[]
}

type Tests = (runner: object, Keyv: KeyvClass, store: () => object) => void

interface Packages {
  readonly suite: { readonly [N in 'keyvApiTests' | 'keyvValueTests' | 'keyvNamespaceTest' | 'keyvIteratorTests']: Tests }
  readonly expect: Expect
  readonly Keyv: KeyvClass
}

const { directory, write } = folderFor('docs/keyv.md')
const load = write('load.ts', "export * as suite from '@keyv/test-suite'\nexport { expect } from 'expect'\nexport { Keyv } from 'keyv'")
const { suite, expect, Keyv } = (await import(load)) as Packages
const { DuolectKeyv } = (await import(`${directory}/duolect-keyv.js`)) as { DuolectKeyv: new (db: Handle) => object }
after(() => rmSync(directory, { recursive: true }))

onEachDatabase('The Keyv adapter', database => {
  let db: Database
  const store = () => new DuolectKeyv(db)

  beforeEach(async () => {
    db = await database.open()
  })

  /** The part of Vitest that the suite uses, on this test runner. */
  const runner = {
    beforeEach,
    afterEach,
    it: (title: string, body: (context: { expect: Expect }) => unknown) =>
      test(title, async () => {
        expect.setState({ assertionCalls: 0, expectedAssertionsNumber: null })
        await body({ expect })
        assert.deepEqual(expect.extractExpectedAssertionsErrors(), [])
      })
  }

  for (const [title, tests] of Object.entries({
    calls: suite.keyvApiTests,
    values: suite.keyvValueTests,
    namespaces: suite.keyvNamespaceTest,
    iteration: suite.keyvIteratorTests
  })) {
    describe(title, () => tests(runner, Keyv, store))
  }

  test('stores entries of one call together', async () => {
    const keyv = new Keyv({ store: store(), namespace: 'n' })
    await keyv.setMany([
      { key: 'a', value: 1 },
      { key: 'b', value: 2 }
    ])
    assert.deepEqual(await keyv.getMany(['a', 'b']), [1, 2])
  })

  test('touches no other keys of the store', async () => {
    await db.kvs.set('mine', 1)
    const keyv = new Keyv({ store: store() })
    await keyv.set('a', 1)
    await keyv.clear()
    const keys: string[] = []
    for await (const key of db.kvs.keys()) keys.push(key)
    assert.deepEqual(keys, ['mine'])
  })
})
