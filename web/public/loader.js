/** Reads lists and history over HTTP into the store. */

const listEntries = 30
const pageEvents = 50
/** The database may lag a little behind what was delivered: how often it is asked again. */
const lagTries = 6
const lagMs = 200
/** The list is read again at most this often. */
const listAgainMs = 3_000

/**
 * @param {{api: any, store: any, people: any, clock: any, reads: any, catchUp: {want(id: string): void}}} parts
 */
export function createLoader({ api, store, people, clock, reads, catchUp }) {
  const list = { loading: false, loaded: false, problem: '', next: undefined }
  let wanted
  let readAt = 0

  async function readList(cursor) {
    if (list.loading) return
    list.loading = true
    readAt = Date.now()
    store.changed()
    const answer = await api.conversations(listEntries, cursor)
    list.loading = false
    list.problem = answer.ok ? '' : answer.message
    if (answer.ok) {
      const isFirst = !list.loaded || cursor !== undefined
      if (isFirst) list.next = answer.body.next
      list.loaded = true
      store.mergeList(answer.body.conversations, reads.here)
      for (const { id } of answer.body.conversations) {
        if (store.noteHead(id, 0)) catchUp.want(id)
      }
    }
    store.changed()
  }

  /** Events `after + 1` to `to`, which are known to be there: a failure, or `{ok: true, events}`. */
  async function readEvents(id, after, to) {
    const events = []
    for (let tries = 0; tries < lagTries; ) {
      const reached = events.at(-1)?.seq ?? after
      if (reached >= to) return { ok: true, events }
      const page = await api.events(id, reached, to - reached)
      if (!page.ok) return page
      events.push(...page.body.events)
      if (page.body.events.length > 0) continue
      await new Promise((resolve) => setTimeout(resolve, lagMs * 2 ** tries))
      tries += 1
    }
    return { ok: false, message: 'The history is not readable yet.' }
  }

  async function readOlder(id) {
    const conversation = store.get(id)
    const timeline = conversation?.timeline
    if (!timeline || conversation.older.loading || timeline.low <= conversation.from) return
    const to = timeline.low - 1
    const after = Math.max(conversation.from - 1, to - pageEvents)
    conversation.older = { loading: true, problem: '' }
    store.changed()
    const read = await readEvents(id, after, to)
    conversation.older = { loading: false, problem: read.ok ? '' : read.message }
    store.prepend(conversation, timeline, read.ok ? read.events : [])
    if (conversation.timeline !== timeline) readOlder(id)
  }

  async function readOne(id) {
    const answer = await api.conversation(id, 20)
    if (answer.ok) {
      const info = answer.body.conversation
      people.learnMembers(info)
      store.mergeOne(info, { activity: clock.now(), readHere: reads.here(id) })
    }
    return answer
  }

  return {
    list,
    readList: () => readList(undefined),
    readMore: () => readList(list.next),
    readOlder,
    readOne,
    /** Something happened that the list should show; soon, and not for each such thing. */
    wantList() {
      if (wanted !== undefined) return
      const inMs = Math.max(100, readAt + listAgainMs - Date.now())
      wanted = setTimeout(() => {
        wanted = undefined
        readList(undefined)
      }, inMs)
    },
    stop: () => clearTimeout(wanted),
  }
}
