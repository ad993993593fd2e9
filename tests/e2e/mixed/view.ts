import type { EventFrame, ServerFrame, Welcome } from '../harness/frames.ts'
import { canonical } from '../harness/history.ts'

/** What a device holds of one conversation. */
export interface ConversationView {
  member: boolean
  /** The first seq it may see now, 0 while that is not known. */
  from: number
  /** The highest head it was told. */
  head: number
  /** The highest seq that the present link was sent or told; undefined until it was. */
  told: number | undefined
  events: Map<number, EventFrame>
  /** What came of it lately, in short, to tell with a fault. */
  trail: string[]
}

const trailLength = 12

/**
 * A client's view, as "What a client must do" has it: applies what comes, drops what it has, and says where it lacks
 * something. What a server must not do is noted in `faults`.
 */
export interface View {
  readonly conversations: ReadonlyMap<string, ConversationView>
  /** Others' and one's own read positions as they were shown: the latest of each user by conversation. */
  readonly reads: ReadonlyMap<string, ReadonlyMap<string, number>>
  readonly faults: string[]
  /** A new link: `resume` is what its hello said. Returns the conversations that must be synced now. */
  welcomed(welcome: Welcome, resume: Record<string, number>): string[]
  /** Returns the conversations that must be synced now. */
  take(frame: ServerFrame): string[]
  /** Up to where the events are there without a hole from `from`, or `from` − 1. */
  contiguous(conversation: string): number
  /** The last seq held of each conversation, for `resume`. */
  resume(): Record<string, number>
}

export function createView(name: string): View {
  const conversations = new Map<string, ConversationView>()
  const reads = new Map<string, Map<string, number>>()
  const faults: string[] = []
  const fault = (id: string, what: string) => {
    const lately = viewOf(id).trail.join(', ')
    faults.push(`${name} in ${id}: ${what}; lately ${lately}`)
  }
  const note = (id: string, what: string) => {
    const { trail } = viewOf(id)
    trail.push(what)
    if (trail.length > trailLength) trail.shift()
  }

  const viewOf = (id: string): ConversationView => {
    let view = conversations.get(id)
    if (view === undefined) {
      view = { member: false, from: 0, head: 0, told: undefined, events: new Map(), trail: [] }
      conversations.set(id, view)
    }
    return view
  }
  const contiguous = (id: string) => {
    const { from, events } = viewOf(id)
    let seq = Math.max(from, 1)
    while (events.has(seq)) seq += 1
    return seq - 1
  }
  const lacking = (id: string) => {
    const view = viewOf(id)
    return view.member && contiguous(id) < view.head ? [id] : []
  }
  const hear = (view: ConversationView, head: number) => {
    view.head = Math.max(view.head, head)
    view.told = Math.max(view.told ?? 0, head)
  }
  const hold = (view: ConversationView, event: EventFrame) => {
    const held = view.events.get(event.seq)
    if (held !== undefined) {
      // [Y9] Twice, but never different; a delete takes the body away.
      const { body: _body, ...bare } = held
      const same = [canonical(held), canonical(bare)].includes(canonical(event))
      if (!same) {
        fault(
          event.conversation,
          `two events of one seq: ${canonical(held)} and ${canonical(event)}`,
        )
      }
      if (event.body !== undefined) return
    }
    view.events.set(event.seq, event)
  }

  const take = (frame: ServerFrame): string[] => {
    switch (frame.type) {
      case 'event': {
        const view = viewOf(frame.conversation)
        note(frame.conversation, `event ${frame.seq}`)
        // [Y8][Y10] Not before `added`, nor after `removed`.
        if (!view.member) fault(frame.conversation, `event ${frame.seq} as no member`)
        // [Y7] Never past a hole of what this link was sent or told.
        if (view.told !== undefined && frame.seq > view.told + 1) {
          fault(frame.conversation, `event ${frame.seq} past a hole, told ${view.told}`)
        }
        hold(view, frame)
        hear(view, frame.seq)
        return lacking(frame.conversation)
      }
      case 'gap':
        note(frame.conversation, `gap ${frame.head}`)
        hear(viewOf(frame.conversation), frame.head)
        return lacking(frame.conversation)
      case 'heads':
        for (const [id, head] of Object.entries(frame.heads)) {
          note(id, `heads ${head}`)
          hear(viewOf(id), head)
        }
        return Object.keys(frame.heads).flatMap(lacking)
      case 'synced': {
        const view = viewOf(frame.conversation)
        const seqs = frame.events.map((event) => event.seq)
        note(frame.conversation, `synced ${seqs.at(0)}–${seqs.at(-1)}, head ${frame.head}`)
        view.from = frame.from
        for (const event of frame.events) hold(view, event)
        hear(view, frame.head)
        return []
      }
      case 'conversation': {
        const view = viewOf(frame.conversation)
        note(frame.conversation, `${frame.change} ${frame.info === undefined ? '' : 'with info'}`)
        if (frame.change === 'removed') {
          view.member = false
          view.told = undefined
          return []
        }
        view.member = true
        const info = frame.info as { from: number; head: number } | undefined
        if (info === undefined) return []
        view.from = info.from
        view.told ??= info.head
        view.head = Math.max(view.head, info.head)
        return lacking(frame.conversation)
      }
      case 'read': {
        const shown = reads.get(frame.conversation) ?? new Map<string, number>()
        reads.set(frame.conversation, shown)
        const before = shown.get(frame.user) ?? 0
        shown.set(frame.user, Math.max(before, frame.seq))
        return []
      }
      default:
        return []
    }
  }

  return {
    conversations,
    reads,
    faults,
    welcomed(welcome, resume) {
      const present = new Set(welcome.conversations.map(({ id }) => id))
      for (const [id, view] of conversations) {
        view.told = undefined
        if (!present.has(id) && !welcome.more) view.member = false
      }
      for (const { id, from, head } of welcome.conversations) {
        const view = viewOf(id)
        view.member = true
        view.from = from
        view.head = Math.max(view.head, head)
        // [Y2] What lies before `from` is not a gap.
        view.told = Math.max(resume[id] ?? head, from - 1)
        note(id, `welcome, head ${head}, resumed after ${resume[id]}`)
      }
      // What is resumed comes by itself, or a `gap`.
      return [...present].filter((id) => !(id in resume)).flatMap(lacking)
    },
    take,
    contiguous,
    resume() {
      const lasts: Record<string, number> = {}
      for (const [id, view] of conversations) if (view.member) lasts[id] = contiguous(id)
      return lasts
    },
  }
}
