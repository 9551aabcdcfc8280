import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql, type UserInput } from '../src/index.ts'
import { failsWith, onEachDatabase } from './support/databases.ts'

onEachDatabase('Users', database => {
  test('a new user is stored under the platform and its id, and comes back as a row', async () => {
    const db = await database.open()
    const before = Date.now()
    const user = await db.saveUser({ id: '1', platform: 'slack', first_name: 'Sylvain', timezone: 5.5 })
    const { created_on: createdOn, ...rest } = user
    assert.deepEqual(rest, {
      id: 'slack:1',
      userId: '1',
      platform: 'slack',
      gender: null,
      timezone: 5.5,
      picture_url: null,
      first_name: 'Sylvain',
      last_name: null,
      locale: null
    })
    assert.ok(createdOn instanceof Date && createdOn.getTime() >= before && createdOn.getTime() <= Date.now())
    assert.deepEqual(await db.all(sql`SELECT * FROM users WHERE first_name = ${'Sylvain'}`), [user])
  })

  test('saving again updates what is given and keeps the rest and created_on', async () => {
    const db = await database.open()
    const first = await db.saveUser({ id: '1', platform: 'slack', first_name: 'Sylvain', gender: 'male' })
    await new Promise(resolve => setTimeout(resolve, 5))
    const second = await db.saveUser({ id: '1', platform: 'slack', last_name: 'Perron', gender: null })
    assert.deepEqual(second, { ...first, last_name: 'Perron', gender: null })
    assert.equal((await db.all('SELECT * FROM users')).length, 1)
  })

  test('an undefined field counts as not given', async () => {
    const db = await database.open()
    const first = await db.saveUser({ id: '1', platform: 'slack', locale: 'fr_CA' })
    assert.deepEqual(await db.saveUser({ id: '1', platform: 'slack', locale: undefined }), first)
  })

  test('a row that was returned can be saved again, and a number can be an id', async () => {
    const db = await database.open()
    const user = await db.saveUser({ id: 7, platform: 'telegram', locale: 'en' })
    assert.equal(user.id, 'telegram:7')
    assert.deepEqual(await db.saveUser(user), user)
  })

  test('a hundred saves of one user at once leave one row', async () => {
    const db = await database.open()
    await Promise.all(Array.from({ length: 100 }, (_, i) => db.saveUser({ id: '1', platform: 'slack', timezone: i / 2 })))
    assert.equal((await db.all('SELECT * FROM users')).length, 1)
  })

  test('a user saved in a transaction that fails is not there', async () => {
    const db = await database.open()
    await assert.rejects(
      db.transaction(async tx => {
        await tx.saveUser({ id: '1', platform: 'slack' })
        throw new Error('undo')
      }),
      /undo/
    )
    assert.deepEqual(await db.all('SELECT * FROM users'), [])
  })

  for (const [title, user, message] of [
    ['no object', null, /expects an object with id and platform, got null/],
    ['no id', { platform: 'slack' }, /"id"/],
    ['an empty id', { id: '', platform: 'slack' }, /"id"/],
    ['no platform', { id: '1' }, /"platform"/],
    ['a platform with a colon', { id: '1', platform: 'a:b' }, /"platform".*colon/],
    ['an unknown field', { id: '1', platform: 'slack', firstname: 'S' }, /no field "firstname"; did you mean "first_name"/],
    ['a number for a text', { id: '1', platform: 'slack', first_name: 5 }, /"first_name" to be a text or null, got a value of type number/],
    ['a text for a number', { id: '1', platform: 'slack', timezone: '5' }, /"timezone" to be a number/],
    ['NaN', { id: '1', platform: 'slack', timezone: Number.NaN }, /"timezone" to be a number/]
  ] as const) {
    test(`${title} is refused, and nothing is stored`, async () => {
      const db = await database.open()
      await assert.rejects(db.saveUser(user as unknown as UserInput), failsWith('invalid_parameter', message))
      assert.deepEqual(await db.all('SELECT * FROM users'), [])
    })
  }
})
