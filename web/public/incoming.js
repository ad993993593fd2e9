/** What a gateway says, carried to the parts that it concerns. */

/** Conversations that something was heard of and that are not here; beyond it they are forgotten and heard of again. */
const maxStrangers = 1_000

/**
 * @param {{store: any, people: any, reads: any, sender: any, catchUp: any, loader: any, onGone: (id: string) => void}}
 *   parts
 */
export function createIncoming({ store, people, reads, sender, catchUp, loader, onGone }) {
  const strangers = new Map()

  function takeEvent(event) {
    const { conversation, seq, kind } = event
    const taken = store.take(event)
    if (taken === 'hole') catchUp.want(conversation)
    else if (taken === 'unknown') meetStranger(conversation, seq)
    else if (kind === 'joined' || kind === 'left') people.forgetMembers(conversation)
    sender.seen(event)
  }

  /** The conversation goes at least up to `head`. */
  function behind(id, head) {
    if (store.get(id) === undefined) meetStranger(id, head)
    else if (store.noteHead(id, head)) catchUp.want(id)
  }

  /** The list has it, near its beginning. */
  function meetStranger(id, head) {
    if ((strangers.get(id) ?? 0) >= head) return
    if (strangers.size >= maxStrangers) strangers.clear()
    strangers.set(id, head)
    loader.wantList()
  }

  /** Whether one is still a member, where `welcome` did not name the conversation. */
  async function ask(id) {
    const answer = await loader.readOne(id)
    if (answer.status === 404) onGone(id)
  }

  function takeChange({ change, conversation, info }) {
    if (change === 'removed') {
      strangers.delete(conversation)
      onGone(conversation)
    } else if (change === 'updated' && info?.title) store.retitle(conversation, info.title)
    else loader.wantList()
  }

  const takers = {
    event: takeEvent,
    ack: (frame) => sender.acked(frame),
    error(frame) {
      if (frame.id !== undefined) sender.refused(frame)
    },
    gap: ({ conversation, head }) => behind(conversation, head),
    heads({ heads }) {
      for (const [id, head] of Object.entries(heads)) behind(id, head)
    },
    read({ conversation, user, seq }) {
      if (user === store.me) store.markRead(conversation, seq)
    },
    conversation: takeChange,
  }

  return {
    takeEvent,
    behind,
    /** Frames of a kind that this page has no use for are left. */
    take(frame) {
      if (Object.hasOwn(takers, frame.type)) takers[frame.type](frame)
    },
    welcome({ conversations, more }) {
      reads.compare(conversations)
      const named = new Set(conversations.map(({ id }) => id))
      for (const { id, head, read } of conversations) {
        if (store.noteHead(id, head)) catchUp.want(id)
        store.markRead(id, read)
      }
      loader.wantList()
      if (!more) for (const { id } of store.all()) if (!named.has(id)) ask(id)
      sender.pump()
    },
  }
}
