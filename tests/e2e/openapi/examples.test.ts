import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type Described,
  type Document,
  expectFits,
  type Media,
  type Operation,
  requestOf,
  sceneOf,
  send,
  stands,
  startDescribed,
} from './document.ts'

let described: Described
let document: Document
let operations: Operation[]
beforeAll(async () => {
  described = await startDescribed()
  ;({ document, operations } = described)
}, 90_000)
afterAll(() => described?.server.dispose())

test('every route has a summary, a tag, an example of each request and each answer, and its problems', () => {
  const tags = document.tags.map((tag) => tag.name)
  for (const id of Object.values(stands)) expect(document.info.description).toContain(id)
  for (const operation of operations) {
    const { name, summary, parameters = [], requestBody, responses } = operation
    expect(summary, name).toMatch(/^\S.{3,}/)
    expect(tags, name).toContain(operation.tags?.[0])
    for (const { in: place, required, example } of parameters) {
      if (place === 'path' || required) expect(example, name).toBeDefined()
    }
    if (requestBody !== undefined) {
      const media = requestBody.content['application/json'] as Media
      expectFits(media, media.example, name)
    }
    for (const [status, { content }] of Object.entries(responses)) {
      if (content === undefined) expect(status, name).toBe('204')
      const media = content?.['application/json']
      if (media !== undefined) expectFits(media, media.example, `${name} ${status}`)
    }
    for (const range of ['4XX', '5XX']) {
      const media = responses[range]?.content?.['application/problem+json']
      expect(media, `${name} ${range}`).toBeDefined()
      if (range === '5XX') expect(Object.keys(media?.examples ?? {}), name).toContain('internal')
      for (const [code, { value }] of Object.entries(media?.examples ?? {})) {
        expectFits(media as Media, value, `${name} ${code}`)
        expect(value).toMatchObject({ code, type: `urn:parley:problem:${code}` })
        expect(`${Math.floor(value.status / 100)}XX`).toBe(range)
      }
    }
  }
})

test('[H3] every example of a request is answered as the document says, and the answer fits its schema', async () => {
  for (const operation of operations) {
    const scene = await sceneOf(described.world, operation)
    const request = requestOf(operation, scene)
    /* Where a second status says that it was there already, the same is sent again. */
    const wanted = Object.keys(operation.responses)
      .filter((status) => status.startsWith('2'))
      .toSorted((a, b) => Number(b) - Number(a))
    expect(wanted.length, operation.name).toBeGreaterThan(0)
    for (const status of wanted) {
      const answer = await send(request, described.server.httpUrl)
      expect([operation.name, answer.status, answer.text]).toEqual([
        operation.name,
        Number(status),
        answer.text,
      ])
      const media = operation.responses[status]?.content?.['application/json']
      if (media === undefined) expect(answer.text, operation.name).toBe('')
      else expectFits(media, JSON.parse(answer.text), operation.name)
    }
  }
})
