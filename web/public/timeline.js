/**
 * What is known of a conversation's events: a run of neighbouring seqs without a hole, up to the conversation's head.
 * Events are as the protocol has them.
 */

/** @param {number} head events up to it are not known yet */
export function createTimeline(head) {
  return { low: head + 1, events: [] }
}

/** Earlier events, ascending, the last of them right before `low`. */
export function prepend(timeline, events) {
  if (events.length === 0) return
  if (events.at(-1).seq !== timeline.low - 1) throw new Error('these events leave a hole')
  timeline.events.unshift(...events)
  timeline.low = events[0].seq
}

/** Lets go of all but the latest `count` events. */
export function trim(timeline, count) {
  const surplus = timeline.events.length - count
  if (surplus <= 0) return
  timeline.events.splice(0, surplus)
  timeline.low = timeline.events[0].seq
}

/**
 * What there is to show, in order: messages in their present state, and notes of what happened to the conversation.
 * Edits and deletes come after their message, so with the run up to the head known none is missed.
 */
export function itemsOf(timeline) {
  const items = []
  const messages = new Map()
  for (const event of timeline.events) {
    const { kind, id, seq, sender, at, body } = event
    if (kind === 'message') {
      const message = { type: 'message', id, seq, sender, at, ...content(body), edited: false }
      messages.set(id, message)
      items.push(message)
    } else if (kind === 'edit' || kind === 'delete') {
      const message = messages.get(event.target)
      if (message === undefined || message.deleted) continue
      Object.assign(message, content(kind === 'edit' ? body : undefined))
      message.edited = !message.deleted
    } else if (kind !== 'reaction') {
      items.push({ type: 'note', id, seq, sender, at, kind, body: body ?? {} })
    }
  }
  return items
}

/** No body means that the message was deleted. */
function content(body) {
  if (body === undefined || body === null) return { text: '', deleted: true, attachments: 0 }
  return { text: body.text ?? '', deleted: false, attachments: body.attachments?.length ?? 0 }
}
