import { newId } from '@parley/proto/ids'
import { afterEach, expect, test } from 'vitest'
import { type Client, welcomed } from './testing/client.ts'
import { createWorld, errorsLogged, type World, type WorldOptions } from './testing/world.ts'

let world: World
afterEach(async () => {
  await world.stop()
  expect(errorsLogged.splice(0)).toEqual([])
})
const [ann, ben] = [newId(), newId()]

/** Ann was added to a conversation of Ben's, who reads it, and removed again. */
async function addedAndRemoved(options: WorldOptions = {}) {
  world = await createWorld(options)
  world.create([ann])
  const conversation = world.create([ben])
  const stays = await welcomed(world, ben)
  const client = await welcomed(world, ann)
  const added = await world.add(conversation, ann)
  await client.frame('conversation', (frame) => frame.conversation === conversation)
  const removed = await world.remove(conversation, ann)
  await stays.until(() => stays.seqs(conversation).includes(removed), 'ben did not get the removal')
  return { stays, client, conversation, added }
}

/** The notice that added Ann comes once more, late, and after it the one of another conversation. */
async function repeated(client: Client, conversation: string, seq: number) {
  await world.notify(ann, { type: 'added', conversation, seq, from: 1 })
  const next = world.create([ben])
  await world.add(next, ann)
  await client.frame('conversation', (frame) => frame.conversation === next)
  return client.frames.flatMap((frame) =>
    frame.type === 'conversation' && frame.conversation === conversation ? [frame.change] : [],
  )
}

test('[G6] a late notice of being added tells nothing to who was removed since, though the directory is away', async () => {
  const { stays, client, conversation, added } = await addedAndRemoved()
  await client.frame('conversation', ({ change }) => change === 'removed')
  world.directory.away = true
  expect(await repeated(client, conversation, added)).toEqual(['added', 'removed'])
  await world.append(conversation, [{}])
  await stays.until(() => stays.seqs(conversation).includes(added + 2), 'ben is behind')
  client.send({ type: 'ping' })
  await client.frame('pong')
  expect(client.seqs(conversation)).toEqual([added, added + 1])
})

test('a late notice of being added costs no look into the directory when the removal was seen', async () => {
  const { client, conversation, added } = await addedAndRemoved()
  await client.frame('conversation', ({ change }) => change === 'removed')
  const { checks, infos } = world.directory.calls
  await repeated(client, conversation, added)
  expect(world.directory.calls).toMatchObject({ checks, infos: infos + 1 })
})

test('[G6] nor is it told where the connection follows no more conversations', async () => {
  const { client, conversation, added } = await addedAndRemoved({ bounds: { maxConversations: 1 } })
  const changes = await repeated(client, conversation, added)
  expect(changes.filter((change) => change === 'added')).toHaveLength(1)
})
