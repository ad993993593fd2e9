import { createApi } from './api.js'
import { createCatchUp } from './catch-up.js'
import { newId } from './ids.js'
import { createIncoming } from './incoming.js'
import { createLoader } from './loader.js'
import { createOutbox } from './outbox.js'
import { createPeople } from './people.js'
import { createReads } from './reads.js'
import { createSender } from './sender.js'
import { createSocket } from './socket.js'
import { createStore } from './store.js'

/** Until a `welcome` says otherwise; the limits of the protocol. */
const defaultLimits = { textLength: 8_000, bodyBytes: 16_384 }

/**
 * Everything of a signed-in user that is no view, each part made with those that it uses.
 * @param {{session: any, clock: any, storage: Storage, me: any, onChange: () => void, onSignedOut: () => void,
 *   onGone: (id: string) => void}} options
 */
export function makeParts({ session, clock, storage, me, onChange, onSignedOut, onGone }) {
  const onDate = (serverMs) => clock.hear(serverMs, { isExact: false })
  const api = createApi({ session, onDate, onSignedOut })
  const outbox = createOutbox({ storage, user: me.id, onChange })
  const store = createStore({ me: me.id, onChange })
  const people = createPeople({ api, me, onChange })
  let limits = defaultLimits

  /* Calls below reach parts made after them, once there is a connection. */
  const on = {
    state: onChange,
    welcome(frame) {
      limits = frame.limits
      incoming.welcome(frame)
    },
    frame: (frame) => incoming.take(frame),
    lost: () => sender.lost(),
  }
  const socket = createSocket({ session, api, clock, device: deviceOf(storage), on })
  const reads = createReads({ storage, user: me.id, socket })
  const catchUp = createCatchUp({
    store,
    socket,
    onEvent: (event) => incoming.takeEvent(event),
    onGone,
    onRestart(id) {
      loader.wantList()
      if (store.opened()?.id === id) loader.readOlder(id)
    },
  })
  const loader = createLoader({ api, store, people, reads, catchUp })
  const sender = createSender({
    outbox,
    socket,
    onAcked({ text }, { conversation, seq, id, at }) {
      /* The message in its place, whether or not its event comes. */
      const kind = 'message'
      incoming.takeEvent({ conversation, seq, id, kind, sender: me.id, at, body: { text } })
    },
  })
  const incoming = createIncoming({ store, people, reads, sender, catchUp, loader, onGone })

  return {
    api,
    outbox,
    store,
    people,
    socket,
    reads,
    loader,
    sender,
    incoming,
    limits: () => limits,
    stop() {
      socket.stop()
      loader.stop()
      reads.stop()
    },
  }
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
