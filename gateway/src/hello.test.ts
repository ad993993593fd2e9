import { channels } from '@parley/proto/fan-out'
import { newId } from '@parley/proto/ids'
import { afterEach, expect, test } from 'vitest'
import { connect, welcomed } from './testing/client.ts'
import { createWorld, errorsLogged, type World } from './testing/world.ts'

let world: World
afterEach(async () => {
  await world.stop()
  expect(errorsLogged.splice(0)).toEqual([])
})
const [ann, ben] = [newId(), newId()]

/** A connection that has said hello, while its user's own channel is not heard yet. */
async function unheard(subscribeWaitMs: number) {
  world = await createWorld({ bounds: { subscribeWaitMs } })
  const channel = world.holdSubscription(channels.user(ann))
  const client = await connect(world.url)
  client.send({ type: 'hello', token: await world.token(ann), device: 'd' })
  await channel.asked
  return { channel, client }
}
const looked = () => world.directory.calls.lists.reduce((sum, users) => sum + users, 0)

test('[G7] the directory is asked only once the user’s own channel is heard, so that no join falls between', async () => {
  const { channel, client } = await unheard(60_000)
  await welcomed(world, ben)
  expect(looked(), 'ben alone was looked up, though he came later').toBe(1)
  const conversation = world.create([ben])
  const head = await world.add(conversation, ann)
  channel.release()
  const { conversations } = await client.frame('welcome')
  expect(conversations).toEqual([expect.objectContaining({ id: conversation, head })])
  await world.append(conversation, [{}])
  await client.until(() => client.seqs(conversation).includes(head + 1), 'no event')
})

test('[G7] who is added between the look into the directory and `welcome` is told of it after', async () => {
  world = await createWorld({ bounds: { subscribeWaitMs: 60_000 } })
  const known = world.create([ann])
  const channel = world.holdSubscription(channels.conversation(known))
  const client = await connect(world.url)
  client.send({ type: 'hello', token: await world.token(ann), device: 'd' })
  await channel.asked
  const conversation = world.create([ben])
  await world.add(conversation, ann)
  channel.release()
  const { conversations } = await client.frame('welcome')
  expect(conversations.map(({ id }) => id)).toEqual([known])
  expect(await client.frame('conversation')).toMatchObject({ change: 'added', conversation })
})

test('[G8] a bus that is away holds up no hello for longer than its bound', async () => {
  const { channel, client } = await unheard(50)
  await client.frame('welcome')
  expect(looked()).toBe(1)
  channel.release()
})
