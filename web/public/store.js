import { idTime } from './ids.js'
import { createTimeline, prepend, trim } from './timeline.js'

/**
 * What this page knows of the user's conversations. Events go in in any order, doubled or with holes; each counts once
 * and in the order of its seq, and whoever feeds the store learns of a hole. No I/O.
 */

/** Events held of one conversation beyond a hole; what is more comes again by `sync`. */
const maxAhead = 200
/** Events kept of a conversation that is not open. */
const keptEvents = 200

/**
 * @param {{me: string, onChange: () => void}} options
 */
export function createStore({ me, onChange }) {
  const conversations = new Map()
  let openId = null

  function create({ id, kind, head, from }) {
    const conversation = {
      id,
      kind,
      title: undefined,
      /** All events up to it are counted in `unread` and `last`, and stand in the timeline, if there is one. */
      head,
      /** The highest head heard of. */
      target: head,
      from,
      read: 0,
      unread: 0,
      /** The latest message: `{id, sender, at, text, deleted}`. */
      last: null,
      /** When something happened here last; the list is in this order. */
      activity: 0,
      timeline: null,
      ahead: new Map(),
      older: { loading: false, problem: '' },
    }
    conversations.set(id, conversation)
    return conversation
  }

  function place(conversation, event) {
    conversation.head = event.seq
    conversation.timeline?.events.push(event)
    conversation.activity = Math.max(conversation.activity, event.at)
    if (event.kind === 'message') {
      conversation.last = lastOf(event)
      if (event.sender === me) markRead(conversation, event.seq)
      else if (event.seq > conversation.read) conversation.unread += 1
    } else if (event.kind === 'updated') {
      conversation.title = event.body?.title
    } else if (event.target !== undefined && event.target === conversation.last?.id) {
      const { id, sender, at } = conversation.last
      if (event.kind !== 'reaction')
        conversation.last = lastOf({ id, sender, at, body: event.body })
    }
  }

  function placeAhead(conversation) {
    const { ahead } = conversation
    for (const seq of ahead.keys()) if (seq <= conversation.head) ahead.delete(seq)
    for (let next = ahead.get(conversation.head + 1); next !== undefined; ) {
      ahead.delete(next.seq)
      place(conversation, next)
      next = ahead.get(conversation.head + 1)
    }
  }

  function markRead(conversation, seq) {
    const { timeline, head } = conversation
    conversation.read = Math.max(conversation.read, seq)
    if (conversation.read >= head) conversation.unread = 0
    else if (timeline !== null && timeline.low <= conversation.read + 1) {
      const isUnread = (event) =>
        event.kind === 'message' && event.sender !== me && event.seq > conversation.read
      conversation.unread = timeline.events.filter(isUnread).length
    }
  }

  function adopt(conversation, entry) {
    const { head, title, from, lastMessage, unread } = entry
    Object.assign(conversation, {
      head,
      title,
      from,
      last: lastMessage ? lastOf(lastMessage) : null,
    })
    /* Where this device has read on and the server does not know, it can only be less than the server says. */
    conversation.unread = Math.min(unread, head - conversation.read)
    placeAhead(conversation)
  }

  return {
    me,
    get: (id) => conversations.get(id),
    all: () => [...conversations.values()],
    /** The latest activity first. */
    sorted: () =>
      [...conversations.values()].sort((a, b) => b.activity - a.activity || (a.id < b.id ? 1 : -1)),
    opened: () => (openId === null ? undefined : conversations.get(openId)),

    /**
     * One event. `hole`: events before it are missing, or after it and known of, so `sync`. `unknown`: of a conversation
     * that is not here.
     * @returns {'applied' | 'known' | 'hole' | 'unknown'}
     */
    take(event) {
      const conversation = conversations.get(event.conversation)
      if (conversation === undefined) return 'unknown'
      if (event.seq <= conversation.head) return 'known'
      conversation.target = Math.max(conversation.target, event.seq)
      if (event.seq === conversation.head + 1) {
        place(conversation, event)
        placeAhead(conversation)
      } else if (conversation.ahead.size < maxAhead) conversation.ahead.set(event.seq, event)
      onChange()
      return conversation.target > conversation.head ? 'hole' : 'applied'
    },

    /** Somebody said how far a conversation goes. True when that is beyond what is here. */
    noteHead(id, head) {
      const conversation = conversations.get(id)
      if (conversation === undefined) return false
      conversation.target = Math.max(conversation.target, head)
      return conversation.target > conversation.head
    },

    /**
     * A page of the list as REST has it, latest first. One that has its events here goes on by events, so that none is
     * counted twice. True when some of it were not here yet.
     * @param {(id: string) => number} readHere how far was read on this device, told to the server or not
     */
    mergeList(entries, readHere) {
      const activities = activitiesOf(entries)
      let isNews = false
      entries.forEach((entry, i) => {
        const known = conversations.get(entry.id)
        isNews ||= known === undefined
        const conversation = known ?? create(entry)
        conversation.activity = Math.max(conversation.activity, activities[i])
        conversation.target = Math.max(conversation.target, entry.head)
        conversation.read = Math.max(conversation.read, entry.read, readHere(entry.id))
        const isAhead = entry.head > conversation.head && conversation.timeline === null
        if (isAhead || entry.head === conversation.head) adopt(conversation, entry)
      })
      onChange()
      return isNews
    },

    /** A conversation by itself, as `GET /v1/conversations/:id` has it: just made, or not yet on a page of the list. */
    mergeOne(info, { readHere }) {
      const conversation = conversations.get(info.id) ?? create(info)
      conversation.title = info.title
      conversation.from = info.from
      conversation.activity = Math.max(conversation.activity, madeAt(info.id))
      conversation.target = Math.max(conversation.target, info.head)
      markRead(conversation, readHere)
      onChange()
    },

    /** Shows a conversation (or none); the one shown before keeps only its latest events. */
    open(id) {
      const before = openId === null ? undefined : conversations.get(openId)
      if (before?.timeline && before.id !== id) trim(before.timeline, keptEvents)
      openId = id
      const conversation = conversations.get(id)
      if (conversation) conversation.timeline ??= createTimeline(conversation.head)
      onChange()
    },

    prepend(conversation, timeline, events) {
      if (conversation.timeline === timeline) prepend(timeline, events)
      conversation.activity = Math.max(conversation.activity, events.at(-1)?.at ?? 0)
      const latest = events.findLast(({ kind }) => kind === 'message')
      if (latest !== undefined) conversation.last ??= lastOf(latest)
      onChange()
    },

    /** Too far behind to catch up event by event: begins anew at the head that was heard of. */
    restart(conversation) {
      conversation.head = conversation.target
      conversation.timeline = conversation.id === openId ? createTimeline(conversation.head) : null
      placeAhead(conversation)
      onChange()
    },

    /** What lies before `from` is not this user's to see, and no hole. */
    beginAt(conversation, from) {
      conversation.from = from
      if (conversation.head >= from - 1) return
      conversation.head = from - 1
      if (conversation.timeline) conversation.timeline = createTimeline(conversation.head)
      placeAhead(conversation)
      onChange()
    },

    markRead(id, seq) {
      const conversation = conversations.get(id)
      if (conversation === undefined) return
      markRead(conversation, seq)
      onChange()
    },

    retitle(id, title) {
      const conversation = conversations.get(id)
      if (conversation) conversation.title = title
      onChange()
    },

    remove(id) {
      conversations.delete(id)
      onChange()
    },
    changed: onChange,
  }
}

/** When a conversation was made, where its id says so; a direct one's does not. */
function madeAt(id) {
  return id.charAt(14) === '7' ? idTime(id) : 0
}

/**
 * When something last happened in each conversation of a page. The page's order says it better than what it holds, which
 * is the latest message and not the latest event: so at least as much as the next one, and where nothing is known as
 * much as the one before.
 */
function activitiesOf(entries) {
  const times = entries.map(({ id, lastMessage }) => Math.max(madeAt(id), lastMessage?.at ?? 0))
  for (let i = times.length - 2; i >= 0; i--) {
    if (times[i + 1] > 0) times[i] = Math.max(times[i], times[i + 1] + 1)
  }
  for (let i = 1; i < times.length; i++) if (times[i] === 0) times[i] = times[i - 1] - 1
  return times
}

function lastOf({ id, sender, at, body }) {
  const isDeleted = body === undefined || body === null
  return { id, sender, at, text: body?.text ?? '', deleted: isDeleted }
}
