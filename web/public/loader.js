import { createRetries } from './retries.js'

/** Reads lists and history over HTTP into the store. */

const listEntries = 30
/** Pages that are read again at most, when much is new. */
const listPages = 10
const pageEvents = 50
/** The database may lag a little behind what was delivered: how often it is asked again. */
const lagTries = 6
const lagMs = 200
/** The list is read again at most this often. */
const listAgainMs = 3_000

/**
 * @param {{api: any, store: any, people: any, reads: any, catchUp: {want(id: string): void}}} parts
 */
export function createLoader({ api, store, people, reads, catchUp }) {
  const list = { loading: false, loaded: false, problem: '', next: undefined }
  const retries = createRetries()
  let wanted
  let readAt = 0

  /** One page, merged: `{isNews, next}`; undefined when it could not be read, and is read again. */
  async function readPage(cursor) {
    const answer = await api.conversations(listEntries, cursor)
    list.problem = answer.ok ? '' : answer.message
    retries.note('list', answer, readList)
    if (!answer.ok) return undefined
    const { conversations, next } = answer.body
    const isNews = store.mergeList(conversations, reads.here)
    for (const { id } of conversations) if (store.noteHead(id, 0)) catchUp.want(id)
    return { isNews, next }
  }

  async function whileLoading(work) {
    if (list.loading) return
    list.loading = true
    store.changed()
    await work()
    list.loading = false
    store.changed()
  }

  /** The first page; later, as many from the first on as hold something new. */
  const readList = () =>
    whileLoading(async () => {
      readAt = Date.now()
      let page = await readPage(undefined)
      if (page !== undefined && !list.loaded) {
        list.loaded = true
        list.next = page.next
        return
      }
      for (let pages = 1; page?.isNews && page.next !== undefined; pages++) {
        if (pages === listPages) {
          list.next = page.next
          return
        }
        page = await readPage(page.next)
      }
    })

  const readMore = () =>
    whileLoading(async () => {
      const page = await readPage(list.next)
      if (page !== undefined) list.next = page.next
    })

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
    return { ok: false, message: 'The history is not readable yet.', retryable: true }
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
    retries.note(id, read, () => {
      if (store.opened()?.id === id) readOlder(id)
    })
    if (conversation.timeline !== timeline) readOlder(id)
  }

  async function readOne(id) {
    const answer = await api.conversation(id, 20)
    if (answer.ok) {
      const info = answer.body.conversation
      people.learnMembers(info)
      store.mergeOne(info, { readHere: reads.here(id) })
    }
    return answer
  }

  return {
    list,
    readList,
    readMore,
    readOlder,
    readOne,
    /** Something happened that the list should show; soon, and not for each such thing. */
    wantList() {
      if (wanted !== undefined) return
      const inMs = Math.max(100, readAt + listAgainMs - Date.now())
      wanted = setTimeout(() => {
        wanted = undefined
        if (list.loading) this.wantList()
        else readList()
      }, inMs)
    },
    stop() {
      clearTimeout(wanted)
      retries.stop()
    },
  }
}
