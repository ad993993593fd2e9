import { eventually } from './deadline.ts'
import type { EventFrame } from './frames.ts'
import type { Person, World } from './people.ts'
import type { SocketClient } from './socket-client.ts'

/** An event without its frame type, as REST and live delivery must agree on it, fields sorted. */
export function canonical(event: Partial<EventFrame>): string {
  const { type: _type, ...fields } = event
  return JSON.stringify(sorted(fields))
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, field]) => field !== null && field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => [key, sorted(field)]),
  )
}

interface EventsPage {
  events: EventFrame[]
  head: number
  from: number
  more: boolean
}

/** Every event over REST, page by page, once what was acked up to `head` is shown there. */
export function restEventsTo(
  world: World,
  person: Person,
  conversation: string,
  head: number,
): Promise<EventFrame[]> {
  return eventually(`REST shows ${conversation} up to ${head}`, async () => {
    const events = await restEvents(world, person, conversation)
    return (events.at(-1)?.seq ?? 0) >= head && events
  })
}

/** Every event after `after` over REST as it answers now, page by page. */
export async function restEvents(
  world: World,
  person: Person,
  conversation: string,
  { after = 0, limit = 500 } = {},
): Promise<EventFrame[]> {
  const events: EventFrame[] = []
  for (;;) {
    const last = events.at(-1)?.seq ?? after
    const page = await world.http.call<EventsPage>(
      'GET',
      `/v1/conversations/${conversation}/events?after=${last}&limit=${limit}`,
      { token: person.accessToken },
    )
    events.push(...page.events)
    if (!page.more) return events
    if (page.events.length === 0) throw new Error('`more` came with no events')
  }
}

/** Every event after `after` by `sync`, page by page. */
export async function syncedEvents(
  socket: SocketClient,
  conversation: string,
  { after = 0, limit = 500 } = {},
): Promise<EventFrame[]> {
  const events: EventFrame[] = []
  for (;;) {
    const page = await socket.sync(conversation, events.at(-1)?.seq ?? after, limit)
    events.push(...page.events)
    if (!page.more) return events
    if (page.events.length === 0) throw new Error('`more` came with no events')
  }
}

/** The events of one conversation that a socket was shown live, in order of arrival. */
export function liveEvents(socket: SocketClient, conversation: string): EventFrame[] {
  return socket.journal.filter(
    (frame): frame is EventFrame => frame.type === 'event' && frame.conversation === conversation,
  )
}
