import { el, keyed, setText } from './dom.js'
import { itemsOf } from './timeline.js'
import { dayOf, fullTimeOf, messageText, noteText, timeOf } from './words.js'

/** Closer to the end than this, in pixels, the view stays at the end. */
const nearEnd = 60
const nearTop = 80
/** Messages of one person within this time stand together. */
const runMs = 5 * 60_000

/**
 * The open conversation: its messages in order, those in the outbox after them.
 * @param {{find: (id: string) => any, store: any, outbox: any, people: any, loader: any,
 *   on: {read(id: string, seq: number): void, retry(id: string): void, discard(id: string): void}}} parts
 */
export function createConversationView({ find, store, outbox, people, loader, on }) {
  const scroller = find('messages')
  const list = find('message-items')
  const older = find('older')
  const latest = find('latest')
  const shown = { id: undefined, low: 0, lastSeq: 0, atEnd: true, top: 0 }

  const isAtEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < nearEnd
  const toEnd = () => {
    scroller.scrollTop = scroller.scrollHeight
    shown.top = scroller.scrollTop
  }

  older.addEventListener('click', () => loader.readOlder(shown.id))
  latest.addEventListener('click', () => {
    toEnd()
    render()
  })
  scroller.addEventListener('scroll', () => {
    const wasAtEnd = shown.atEnd
    shown.atEnd = isAtEnd()
    shown.top = scroller.scrollTop
    if (scroller.scrollTop < nearTop && !older.hidden && !older.disabled) loader.readOlder(shown.id)
    if (shown.atEnd && !wasAtEnd) render()
  })
  const watcher = new ResizeObserver(() => {
    if (shown.atEnd) toEnd()
  })
  watcher.observe(scroller)

  function render() {
    const conversation = store.opened()
    find('conversation-none').hidden = conversation !== undefined
    find('conversation-open').hidden = conversation === undefined
    if (conversation === undefined) {
      shown.id = undefined
      list.replaceChildren()
      return
    }
    const isOther = shown.id !== conversation.id
    if (isOther) {
      list.replaceChildren()
      Object.assign(shown, { id: conversation.id, atEnd: true, lastSeq: conversation.head })
    }
    renderHead(conversation)
    renderMessages(conversation)
    announce(conversation)
    const isLatestHidden = shown.atEnd || conversation.unread === 0
    if (latest.hidden !== isLatestHidden) latest.hidden = isLatestHidden
    if (shown.atEnd && document.visibilityState === 'visible') {
      on.read(conversation.id, conversation.head)
    }
  }

  function renderHead(conversation) {
    setText(find('conversation-title'), people.titleOf(conversation))
    setText(find('conversation-members'), people.membersLine(conversation))
    const { loading, problem } = conversation.older
    const isMore = conversation.timeline.low > conversation.from
    setText(
      find('older-note'),
      loading
        ? 'Reading earlier messages…'
        : problem && `Earlier messages could not be read. ${problem}`,
    )
    older.hidden = !isMore
    older.disabled = loading
    setText(older, problem ? 'Try again' : 'Earlier messages')
  }

  function renderMessages(conversation) {
    const { low } = conversation.timeline
    /* Scrolled up, and its event is yet to come. */
    if (shown.atEnd && scroller.scrollTop < shown.top) shown.atEnd = isAtEnd()
    const heightBefore = scroller.scrollHeight
    const topBefore = scroller.scrollTop
    const isPrepended = low < shown.low && !shown.atEnd
    shown.low = low
    const rows = rowsOf(conversation)
    keyed(list, rows, { keyOf: ({ key }) => key, make, update: updateRow })
    if (shown.atEnd) toEnd()
    else if (isPrepended) scroller.scrollTop = topBefore + scroller.scrollHeight - heightBefore
  }

  /** Messages and notes of the timeline, what is beyond a hole and acked, what is in the outbox; and days between. */
  function rowsOf(conversation) {
    const { timeline, ahead, kind } = conversation
    const mineAhead = [...ahead.values()].filter(
      (event) => event.kind === 'message' && event.sender === store.me,
    )
    const pending = outbox.of(conversation.id).map((entry) => ({
      type: 'message',
      id: entry.id,
      sender: store.me,
      text: entry.text,
      entry,
    }))
    const items = [
      ...itemsOf(timeline),
      ...mineAhead.map((event) => ({ ...event, type: 'message', text: event.body?.text ?? '' })),
    ]
    const rows = []
    const ids = new Set()
    let before
    for (const item of [...items, ...pending]) {
      if (ids.has(item.id)) continue
      ids.add(item.id)
      const isNewDay = item.at !== undefined && dayOf(item.at) !== (before && dayOf(before.at))
      if (isNewDay) rows.push({ key: `day ${dayOf(item.at)}`, type: 'day', at: item.at })
      const isRun =
        !isNewDay &&
        before?.type === item.type &&
        before.sender === item.sender &&
        (item.at ?? before.at) - before.at < runMs
      rows.push({ ...item, key: item.id, isRun, isNamed: kind !== 'direct' && !isRun })
      /* The time stands once under messages of one minute. */
      if (isRun && timeOf(item.at ?? 0) === timeOf(before.at)) rows.at(-2).isSameMinute = true
      before = { ...item, at: item.at ?? before?.at ?? Date.now() }
    }
    return rows
  }

  function make(row) {
    if (row.type !== 'message') return el('li', { className: row.type })
    const isMine = row.sender === store.me
    return el(
      'li',
      { className: `message ${isMine ? 'mine' : 'theirs'}` },
      el('p', { className: 'sender', dir: 'auto' }),
      el('p', { className: 'text', dir: 'auto' }),
      el(
        'p',
        { className: 'meta' },
        el('time'),
        el('span', { className: 'edited' }),
        el('span', { className: 'state' }),
      ),
    )
  }

  const nameOf = (id) => people.nameOf(id) ?? '…'

  function updateRow(node, row) {
    if (row.type === 'day') return setText(node, dayOf(row.at))
    if (row.type === 'note') return setText(node, noteText(row, { nameOf, me: store.me }))
    const [sender, text, meta] = node.children
    const isMine = row.sender === store.me
    setText(sender, isMine ? 'You' : nameOf(row.sender))
    sender.classList.toggle('unseen', isMine || !row.isNamed)
    node.classList.toggle('run', row.isRun)
    setText(text, messageText(row))
    text.classList.toggle('deleted', row.deleted === true)
    const [time, edited, state] = meta.children
    setText(time, row.at === undefined ? '' : timeOf(row.at))
    if (row.at !== undefined) {
      time.dateTime = new Date(row.at).toISOString()
      time.title = fullTimeOf(row.at)
    }
    setText(edited, row.edited ? 'edited' : '')
    meta.classList.toggle('unseen', row.isSameMinute === true && !row.edited)
    if (isMine) updateState(node, state, row)
  }

  function updateState(node, state, { entry, id }) {
    const name = entry?.state ?? 'sent'
    if (node.dataset.state === name && name !== 'failed') return
    node.dataset.state = name
    if (name !== 'failed') {
      node.querySelector('.failure')?.remove()
      setText(state, name === 'sent' ? 'Sent' : 'Waiting')
      return
    }
    setText(state, 'Not sent')
    if (node.querySelector('.failure')) return
    node.append(
      el(
        'p',
        { className: 'failure' },
        el('span', { role: 'alert' }, `Not sent. ${entry.problem}`),
        el(
          'button',
          { type: 'button', className: 'link', onclick: () => on.retry(id) },
          'Try again',
        ),
        el(
          'button',
          { type: 'button', className: 'link', onclick: () => on.discard(id) },
          'Discard',
        ),
      ),
    )
  }

  /** New messages of others, for who listens instead of looking. */
  function announce({ timeline, head }) {
    const fresh = itemsOf(timeline).filter(
      (item) => item.seq > shown.lastSeq && item.type === 'message' && item.sender !== store.me,
    )
    shown.lastSeq = Math.max(shown.lastSeq, head)
    if (fresh.length === 0) return
    const lines = fresh.slice(-3).map((item) => `${nameOf(item.sender)}: ${messageText(item)}`)
    setText(find('announcer'), lines.join('. '))
  }

  return {
    render,
    toEnd() {
      shown.atEnd = true
    },
    stop: () => watcher.disconnect(),
  }
}
