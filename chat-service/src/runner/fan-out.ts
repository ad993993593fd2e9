import type { Bus } from '@parley/platform/ports/bus'
import type { Logger } from '@parley/platform/process/logs'
import {
  type ConversationPublish,
  channels,
  encodeConversationPublish,
  encodeUserNotice,
  type UserNotice,
} from '@parley/proto/fan-out'
import type { CreatedBody, Event, RoleBody, UsersBody } from '@parley/proto/frames'

/** How long after its last event a conversation's head is still announced. */
const announcedForMs = 10_000
/** Conversations whose heads are announced at most; beyond, the longest quiet one is left out. */
const maxAnnounced = 20_000

/**
 * Decided events to whoever reads them now: one publish a conversation a flush, however many events. A lost publish is
 * repaired by readers themselves, from the next event or from the head announced a few seconds later.
 */
export class FanOut {
  readonly #bus: Bus
  readonly #logger: Logger
  readonly #lost: { inc(): void }
  #gathered = new Map<string, ConversationPublish>()
  #notices: { user: string; notice: UserNotice }[] = []
  #announced = new Map<string, { head: number; until: number }>()

  /** `lost` counts publishes that the bus refused. */
  constructor(bus: Bus, logger: Logger, lost: { inc(): void }) {
    this.#bus = bus
    this.#logger = logger
    this.#lost = lost
  }

  /** `from` tells what a joining member may see first; asked only for `created` and `joined`. */
  add(event: Event, frame: Uint8Array, from: (user: string) => number): void {
    let gathered = this.#gathered.get(event.conversation)
    // Said again by a new owner before a flush: a publish holds neighbours only, or frames would stand under wrong seqs.
    if (gathered !== undefined && event.seq !== gathered.firstSeq + gathered.frames.length) {
      this.#publishEvents(event.conversation, gathered)
      gathered = undefined
    }
    if (gathered === undefined) {
      gathered = { firstSeq: event.seq, frames: [], removed: [] }
      this.#gathered.set(event.conversation, gathered)
    }
    gathered.frames.push(frame)
    mark(gathered, event)
    this.#notices.push(...noticesOf(event, from))
  }

  flush(nowMs: number): void {
    for (const [conversation, publish] of this.#gathered) {
      this.#publishEvents(conversation, publish)
      const head = publish.firstSeq + publish.frames.length - 1
      this.#announced.delete(conversation)
      this.#announced.set(conversation, { head, until: nowMs + announcedForMs })
    }
    this.#gathered.clear()
    for (const { user, notice } of this.#notices) {
      this.#publish(channels.user(user), encodeUserNotice(notice))
    }
    this.#notices = []
  }

  /** Every few seconds: the heads of conversations that were active a moment ago ([G7]). */
  announceHeads(nowMs: number): void {
    for (const [conversation, { head, until }] of this.#announced) {
      const tooMany = this.#announced.size > maxAnnounced
      if (until < nowMs || tooMany) this.#announced.delete(conversation)
      if (tooMany) continue
      const payload = encodeConversationPublish({ firstSeq: head + 1, frames: [], removed: [] })
      this.#publish(channels.conversation(conversation), payload)
    }
  }

  #publishEvents(conversation: string, publish: ConversationPublish): void {
    this.#publish(channels.conversation(conversation), encodeConversationPublish(publish))
  }

  #publish(channel: string, payload: Uint8Array): void {
    this.#bus.publish(channel, payload).catch((error: unknown) => {
      this.#lost.inc()
      this.#logger.debug({ err: error, channel }, 'publish lost')
    })
  }
}

/** What gateways must know of an event, whose frame they do not read. */
function mark(publish: ConversationPublish, { kind, seq, body }: Event): void {
  if (kind === 'joined') publish.joined = seq
  else if (kind === 'updated') publish.updated = seq
  else if (kind === 'left') {
    for (const user of (body as UsersBody).users) publish.removed.push({ seq, user })
  }
}

/** What the users an event is about must know, wherever they are connected. */
function noticesOf(
  event: Event,
  from: (user: string) => number,
): { user: string; notice: UserNotice }[] {
  const { conversation, seq } = event
  switch (event.kind) {
    case 'created':
    case 'joined':
      return (event.body as CreatedBody | UsersBody).users.map((user) => ({
        user,
        notice: { type: 'added', conversation, seq, from: from(user) },
      }))
    case 'left':
      return (event.body as UsersBody).users.map((user) => ({
        user,
        notice: { type: 'removed', conversation, seq },
      }))
    case 'role':
      return [
        { user: (event.body as RoleBody).user, notice: { type: 'updated', conversation, seq } },
      ]
    default:
      return []
  }
}
