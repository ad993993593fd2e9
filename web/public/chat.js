import { createComposerView } from './composer-view.js'
import { createConnectionView } from './connection-view.js'
import { createConversationView } from './conversation-view.js'
import { setText, show } from './dom.js'
import { idTime, newId } from './ids.js'
import { createListView, unreadText } from './list-view.js'
import { createNewConversationView } from './new-conversation-view.js'
import { makeParts } from './parts.js'

/** An id may be 5 minutes ahead of the server's time. */
const maxAheadMs = 4 * 60_000
const logoutMs = 3_000
const idPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * The page of somebody who is signed in: what is shown, and what the user does. Ends by itself when the session is over.
 * @param {{session: any, clock: any, storage: Storage, onEnd: (notice: string) => void}} options
 */
export function startChat({ session, clock, storage, onEnd }) {
  const me = session.user()
  const find = show('chat-template')
  const listening = new AbortController()
  let ended = false
  let renderTimer

  const parts = makeParts({
    session,
    clock,
    storage,
    me,
    onChange() {
      if (renderTimer === undefined) renderTimer = setTimeout(render)
    },
    onSignedOut: () => end('You were signed out. Sign in again to go on.'),
    onGone: gone,
  })
  const { api, outbox, store, people, socket, reads, loader, sender, incoming } = parts
  const views = makeViews()

  function makeViews() {
    const on = {
      read(id, seq) {
        if (store.get(id).unread > 0) store.markRead(id, seq)
        reads.advance(id, seq)
      },
      retry(id) {
        outbox.retry(id, makeId)
        sender.pump()
      },
      discard: (id) => outbox.remove(id),
    }
    createNewConversationView({ find, api, people, me: me.id, clock, onMade })
    return {
      connection: createConnectionView({ find, socket }),
      list: createListView({ find, store, loader, people }),
      conversation: createConversationView({ find, store, outbox, people, loader, on }),
      composer: createComposerView({ find, store, limits: parts.limits, onSend }),
    }
  }

  function render() {
    renderTimer = undefined
    if (ended) return
    for (const view of Object.values(views)) view.render()
    find('chat').dataset.pane = store.opened() ? 'conversation' : 'list'
    const unread = store.all().reduce((sum, conversation) => sum + conversation.unread, 0)
    document.title = unread > 0 ? `(${unreadText(unread)}) Parley` : 'Parley'
  }

  function tell(notice) {
    setText(find('notice-text'), notice)
    find('notice').hidden = notice === ''
  }

  /** The user is outside now. */
  function gone(id) {
    const conversation = store.get(id)
    if (conversation === undefined) return
    const unsent = outbox.of(id)
    const isOpen = store.opened()?.id === id
    if (isOpen || unsent.length > 0) {
      const lost =
        unsent.length > 0 ? ` Not sent, and gone: ${unsent.length} of your messages.` : ''
      tell(`You are no longer in “${people.titleOf(conversation)}”.${lost}`)
    }
    for (const entry of unsent) outbox.remove(entry.id)
    store.remove(id)
    if (isOpen) location.hash = ''
  }

  function makeId() {
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
    store.mergeOne(info, { readHere: info.head })
    location.hash = info.id
  }

  /** The address says what is open: `#` and a conversation's id. */
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
        tell(`This conversation can’t be opened. ${answer.message}`)
        location.hash = ''
        return
      }
    }
    tell('')
    store.open(id)
    incoming.behind(id, 0)
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
    parts.stop()
    views.connection.stop()
    views.conversation.stop()
  }

  function end(notice) {
    if (ended) return
    stop()
    onEnd(notice)
  }

  function listen() {
    const { signal } = listening
    find('notice-close').addEventListener('click', () => tell(''))
    find('sign-out').addEventListener('click', () => signOut({ isSure: false }))
    find('leave-stay').addEventListener('click', () => find('leave-dialog').close())
    find('leave-discard').addEventListener('click', () => signOut({ isSure: true }))
    window.addEventListener('hashchange', route, { signal })
    for (const change of ['online', 'offline']) {
      window.addEventListener(change, () => socket.check(), { signal })
    }
    window.addEventListener('storage', (event) => outbox.heard(event), { signal })
    const onVisible = () => {
      if (document.visibilityState !== 'visible') return
      socket.check()
      store.changed()
    }
    document.addEventListener('visibilitychange', onVisible, { signal })
  }

  setText(find('account-name'), me.displayName)
  listen()
  render()
  socket.start()
  loader.readList()
  route()

  return { user: me.id, end }
}
