import { describe, expect, test } from 'vitest'
import { uuid4, uuid7 } from '../harness/ids.ts'
import type { Person } from '../harness/people.ts'
import { expectNoContent, expectProblem, setUpRoutes } from './calls.ts'

const routes = setUpRoutes()
const members = (id: string) => `/v1/conversations/${id}/members`
const create = (as: Person, body: unknown) => routes().ask(as, 'POST', '/v1/conversations', body)
const detail = (as: Person, id: string, query = '') =>
  routes().ask(as, 'GET', `/v1/conversations/${id}${query}`)

describe('members', () => {
  test('[H3][H7] added, with a role, removed: shown as soon as it is answered', async () => {
    const { world, ann, ben, cleo, ask } = routes()
    const id = await world.group(ann, [])
    const adding = { id: uuid7(), members: [ben.id, ann.id, ben.id], later: true }
    const added = await ask(ann, 'POST', members(id), adding)
    expect(added.status, added.text).toBe(200)
    expect(Object.keys(added.body)).toEqual(['conversation'])
    expect(added.body.conversation).toMatchObject({ head: 2, memberCount: 2, role: 'owner' })
    expect((await detail(ben, id)).body.conversation).toMatchObject({ role: 'member', from: 1 })
    const again = await ask(ann, 'POST', members(id), adding)
    expect([again.status, again.body]).toEqual([200, added.body])
    expectProblem(
      await ask(ann, 'POST', members(id), { ...adding, members: [cleo.id] }),
      'id_conflict',
    )
    expectProblem(await ask(ann, 'POST', members(id), { members: [ben.id] }), 'conflict')
    const role = (as: Person, user: string, to: unknown) =>
      ask(as, 'PATCH', `${members(id)}/${user}`, { role: to })
    expectProblem(await role(ben, ben.id, 'owner'), 'forbidden')
    const promoted = await role(ann, ben.id, 'admin')
    expect(promoted.status).toBe(200)
    expect((await detail(ben, id)).body.conversation).toEqual({
      ...promoted.body.conversation,
      role: 'admin',
    })
    expectProblem(await role(ben, ben.id, 'owner'), 'forbidden')
    expect((await ask(ben, 'POST', members(id), { members: [cleo.id] })).status).toBe(200)
    expectProblem(await ask(cleo, 'DELETE', `${members(id)}/${ben.id}`), 'forbidden')
    expectNoContent(await ask(ben, 'DELETE', `${members(id)}/${cleo.id}`))
    expectProblem(await detail(cleo, id), 'not_found')
    expectProblem(await ask(ann, 'DELETE', `${members(id)}/${cleo.id}`), 'not_found')
    expectProblem(await role(ann, cleo.id, 'admin'), 'not_found')
    expectProblem(await role(ann, ann.id, 'member'), 'conflict')
    expectProblem(await ask(ann, 'DELETE', `${members(id)}/${ann.id}`), 'conflict')
    expect((await role(ann, ben.id, 'owner')).status).toBe(200)
    expectNoContent(await ask(ann, 'DELETE', `${members(id)}/${ann.id}`))
    expectProblem(await detail(ann, id), 'not_found')
    expect((await detail(ben, id)).body.conversation.members).toEqual([
      { user: ben.id, role: 'owner' },
    ])
  })

  test.each<[string, unknown]>([
    ['nobody', { members: [] }],
    ['no members', {}],
    ['a string', { members: 'ben' }],
    ['no UUIDs', { members: ['ben'] }],
    ['501', { members: Array.from({ length: 501 }, () => uuid7()) }],
    ['an id of version 4', { id: uuid4(), members: [uuid7()] }],
    ['an id 6 minutes ahead', { id: uuid7(Date.now() + 360_000), members: [uuid7()] }],
    ['an id that is none', { id: 'once', members: [uuid7()] }],
  ])('[H1][H6] adding %s is invalid', async (_name, body) => {
    const { world, ann, ask } = routes()
    const id = await world.group(ann, [])
    expectProblem(await ask(ann, 'POST', members(id), body), 'invalid')
    expect((await detail(ann, id)).body.conversation.head).toBe(1)
  })

  test('[S9] from outside there is nobody to add, remove or promote, nor in a direct one', async () => {
    const { world, ann, ben, cleo, ask } = routes()
    const group = await world.group(ann, [ben])
    const direct = await world.direct(ann, ben)
    for (const [as, id, code] of [
      [cleo, group, 'not_found'],
      [cleo, direct, 'not_found'],
      [cleo, uuid7(), 'not_found'],
      [ann, direct, 'forbidden'],
    ] as const) {
      expectProblem(await ask(as, 'POST', members(id), { members: [cleo.id] }), code)
      expectProblem(await ask(as, 'DELETE', `${members(id)}/${ben.id}`), code)
      expectProblem(await ask(as, 'DELETE', `${members(id)}/${as.id}`), code)
      expectProblem(await ask(as, 'PATCH', `${members(id)}/${ben.id}`, { role: 'admin' }), code)
    }
    for (const role of ['king', '', 5, null, ['admin']]) {
      expectProblem(await ask(ann, 'PATCH', `${members(group)}/${ben.id}`, { role }), 'invalid')
    }
    expectProblem(await ask(ann, 'PATCH', `${members(group)}/ben`, { role: 'admin' }), 'invalid')
  })

  test('[H4] they come in pages, with `next` but on the last', async () => {
    const { world, ann, ben, cleo } = routes()
    const id = await world.group(ann, [ben, cleo])
    const whole = (await detail(ben, id)).body.conversation
    const members: unknown[] = []
    for (let query = '?limit=2'; query !== ''; ) {
      const { conversation } = (await detail(ben, id, query)).body
      const { members: page, next, ...rest } = conversation
      expect({ ...rest, members: whole.members }).toEqual(whole)
      members.push(...page)
      query = next === undefined ? '' : `?limit=2&cursor=${encodeURIComponent(next)}`
    }
    expect(members).toEqual(whole.members)
    for (const query of ['?cursor=abc', '?limit=501', '?limit=0']) {
      expectProblem(await detail(ben, id, query), 'invalid')
    }
  })

  test('[H6] nobody but users becomes a member', async () => {
    const { world, ann, ask } = routes()
    const id = await world.group(ann, [])
    for (const answer of [
      await ask(ann, 'POST', members(id), { members: [uuid7()] }),
      await create(ann, { kind: 'group', members: [uuid7()] }),
      await create(ann, { kind: 'direct', members: [uuid4()] }),
    ]) {
      expect([400, 404]).toContain(answer.status)
      expectProblem(answer, answer.body.code)
    }
    expect((await detail(ann, id)).body.conversation).toMatchObject({ head: 1, memberCount: 1 })
  })
})
