import { createApi } from './api.js'
import { createCatchUp } from './catch-up.js'
import { createComposerView } from './composer-view.js'
import { createConnectionView } from './connection-view.js'
import { createConversationView } from './conversation-view.js'
import { setText, show } from './dom.js'
import { idTime, newId } from './ids.js'
import { createListView, unreadText } from './list-view.js'
import { createLoader } from './loader.js'
import { createNewConversationView } from './new-conversation-view.js'
import { createOutbox } from './outbox.js'
import { createPeople } from './people.js'
import { createReads } from './reads.js'
import { createSender } from './sender.js'
import { createSocket } from './socket.js'
import { createStore } from './store.js'

/** Until a `welcome` says otherwise; the limits of the protocol. */
const defaultLimits = { textLength: 8_000, bodyBytes: 16_384 }
/** An id may be 5 minutes ahead of the server's time. */
const maxAheadMs = 4 * 60_000
const maxStrangers = 1_000
const logoutMs = 3_000
const idPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * The page of somebody who is signed in: makes the parts, and carries what each says to the others. Ends by itself when
 * the session is over.
 * @param {{session: any, clock: any, storage: Storage, onEnd: (notice: string) => void}} parts
 */
export function startChat({ session, clock, storage, onEnd }) {
  const me = session.user()
  const find = show('chat-template')
  const listening = new AbortController()
  const { signal } = listening
  let limits = defaultLimits
  let ended = false
  let goneNotice = ''
  let due

  const changed = () => {
    if (due === undefined) due = setTimeout(render)
  }
  const onDate = (serverMs) => clock.hear(serverMs, { isExact: false })
  const onSignedOut = () => end('You were signed out. Sign in again to go on.')
  const api = createApi({ session, onDate, onSignedOut })
  const outbox = createOutbox({ storage, user: me.id, onChange: changed })
  const store = createStore({ me: me.id, onChange: changed })
  const people = createPeople({ api, me, onChange: changed })
  const device = deviceOf(storage)
  const on = { state: changed, welcome, frame: take, lost: () => sender.lost() }
  const socket = createSocket({ session, api, clock, device, on })
  const reads = createReads({ storage, user: me.id, socket })
  const catchUp = createCatchUp({
    store,
    socket,
    onEvent: takeEvent,
    onGone: gone,
    onRestart(id) {
      loader.wantList()
      if (store.opened()?.id === id) loader.readOlder(id)
    },
  })
  const loader = createLoader({ api, store, people, clock, reads, catchUp })
  const sender = createSender({
    outbox,
    socket,
    onAcked: ({ text }, { conversation, seq, id, at }) => {
      /* The message in its place, whether or not its event comes. */
      const kind = 'message'
      takeEvent({ conversation, seq, id, kind, sender: me.id, at, body: { text } })
    },
  })

  const views = {
    connection: createConnectionView({ find, socket }),
    list: createListView({ find, store, loader, people }),
    conversation: createConversationView({
      find,
      store,
      outbox,
      people,
      loader,
      on: {
        read(id, seq) {
          store.get(id).unread > 0 && store.markRead(id, seq)
          reads.advance(id, seq)
        },
        retry(id) {
          outbox.retry(id, makeId)
          sender.pump()
        },
        discard: (id) => outbox.remove(id),
      },
    }),
    composer: createComposerView({ find, store, limits: () => limits, onSend }),
  }
  createNewConversationView({ find, api, people, me: me.id, clock, onMade })

  function render() {
    due = undefined
    if (ended) return
    for (const view of Object.values(views)) view.render()
    find('chat').dataset.pane = store.opened() ? 'conversation' : 'list'
    setText(find('conversation-none'), goneNotice || 'Choose a conversation, or start a new one.')
    const unread = store.all().reduce((sum, conversation) => sum + conversation.unread, 0)
    document.title = unread > 0 ? `(${unreadText(unread)}) Parley` : 'Parley'
  }

  /* From the connection. */

  function welcome(frame) {
    limits = frame.limits
    reads.compare(frame.conversations)
    const listed = new Set()
    for (const { id, head, read } of frame.conversations) {
      listed.add(id)
      behind(id, head)
      store.markRead(id, read)
    }
    loader.wantList()
    if (!frame.more) for (const { id } of store.all()) if (!listed.has(id)) ask(id)
    sender.pump()
  }

  function take(frame) {
    switch (frame.type) {
      case 'event':
        takeEvent(frame)
        return sender.seen(frame)
      case 'ack':
        return sender.acked(frame)
      case 'error':
        return frame.id === undefined ? undefined : sender.refused(frame)
      case 'gap':
        return behind(frame.conversation, frame.head)
      case 'heads':
        for (const [id, head] of Object.entries(frame.heads)) behind(id, head)
        return
      case 'read':
        return frame.user === me.id ? store.markRead(frame.conversation, frame.seq) : undefined
      case 'conversation':
        return takeChange(frame)
    }
  }

  function takeEvent(event) {
    const { conversation, seq, kind } = event
    const taken = store.take(event)
    if (taken === 'hole') catchUp.want(conversation)
    else if (taken === 'unknown') stranger(conversation, seq)
    else if (kind === 'joined' || kind === 'left') people.forgetMembers(conversation)
  }

  function behind(id, head) {
    if (store.get(id) === undefined) stranger(id, head)
    else if (store.noteHead(id, head)) catchUp.want(id)
  }

  const strangers = new Map()

  /** Something happened in a conversation that is not here: it belongs on the first page of the list. */
  function stranger(id, head) {
    if ((strangers.get(id) ?? 0) >= head) return
    if (strangers.size >= maxStrangers) strangers.clear()
    strangers.set(id, head)
    loader.wantList()
  }

  function takeChange({ change, conversation, info }) {
    if (change === 'removed') gone(conversation)
    else if (change === 'updated' && info?.title) store.retitle(conversation, info.title)
    else loader.wantList()
  }

  /** Whether one is still a member, where the server did not name the conversation. */
  async function ask(id) {
    const answer = await loader.readOne(id)
    if (answer.status === 404) gone(id)
  }

  function gone(id) {
    const unsent = outbox.of(id)
    for (const entry of unsent) outbox.remove(entry.id)
    strangers.delete(id)
    const isOpen = store.opened()?.id === id
    store.remove(id)
    if (!isOpen) return
    const lost =
      unsent.length > 0 ? ` What you wrote there and was not sent is gone: ${unsent.length}.` : ''
    goneNotice = `You are no longer in this conversation.${lost}`
    location.hash = ''
  }

  /* From the user. */

  const makeId = () => {
    const now = clock.now()
    const last = outbox.all().at(-1)
    /* After what was written before, even where the clock was set back since. */
    const after = last === undefined ? 0 : idTime(last.id) + 1
    return newId(after > now && after < now + maxAheadMs ? after : now)
  }

  function onSend(conversation, text) {
    const kept = outbox.add({ id: makeId(), conversation, text })
    if (kept.ok) {
      views.conversation.toEnd()
      sender.pump()
    }
    return kept
  }

  function onMade(info) {
    people.learnMembers(info)
    store.mergeOne(info, { activity: clock.now(), readHere: info.head })
    location.hash = info.id
  }

  async function route() {
    const id = location.hash.slice(1)
    if (!idPattern.test(id)) {
      store.open(null)
      return
    }
    if (store.get(id) === undefined) {
      const answer = await loader.readOne(id)
      if (ended || location.hash.slice(1) !== id) return
      if (!answer.ok) {
        goneNotice = `This conversation can’t be opened. ${answer.message}`
        location.hash = ''
        return
      }
    }
    goneNotice = ''
    store.open(id)
    behind(id, 0)
    if (store.opened().timeline.events.length === 0) loader.readOlder(id)
    render()
    views.composer.focus()
  }

  async function signOut({ isSure }) {
    const unsent = outbox.all().length
    if (unsent > 0 && !isSure) {
      const what = unsent === 1 ? 'One message' : `${unsent} messages`
      setText(find('leave-text'), `${what} of yours did not reach the server yet.`)
      find('leave-dialog').showModal()
      return
    }
    outbox.clear()
    stop()
    await Promise.race([api.logout(), new Promise((done) => setTimeout(done, logoutMs))])
    session.forget()
    onEnd('')
  }

  function stop() {
    ended = true
    listening.abort()
    socket.stop()
    loader.stop()
    reads.stop()
    views.connection.stop()
    views.conversation.stop()
  }

  function end(notice) {
    if (ended) return
    stop()
    onEnd(notice)
  }

  setText(find('account-name'), me.displayName)
  find('sign-out').addEventListener('click', () => signOut({ isSure: false }))
  find('leave-stay').addEventListener('click', () => find('leave-dialog').close())
  find('leave-discard').addEventListener('click', () => signOut({ isSure: true }))
  window.addEventListener('hashchange', route, { signal })
  window.addEventListener('online', () => socket.check(), { signal })
  window.addEventListener('storage', (event) => outbox.heard(event), { signal })
  document.addEventListener(
    'visibilitychange',
    () => {
      if (document.visibilityState !== 'visible') return
      socket.check()
      changed()
    },
    { signal },
  )
  render()
  socket.start()
  loader.readList()
  route()

  return { user: me.id, end }
}

/** The same for all tabs of this browser. */
function deviceOf(storage) {
  const key = 'parley.device'
  const known = storage.getItem(key)
  if (known !== null) return known
  const made = newId(Date.now())
  storage.setItem(key, made)
  return made
}
