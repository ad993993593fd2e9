import { startChat } from './chat.js'
import { createClock } from './clock.js'
import { createSession } from './session.js'
import { showSignIn } from './sign-in-view.js'

const storage = window.localStorage
const clock = createClock(storage)
const onDate = (serverMs) => clock.hear(serverMs, { isExact: false })
const session = createSession({ storage, onDate })
let chat = null

function begin(notice = '') {
  chat = null
  if (session.user() === null) showSignIn({ session, notice, onDone: () => begin() })
  else chat = startChat({ session, clock, storage, onEnd: begin })
}

/* Another tab signed in or out. */
window.addEventListener('storage', ({ key }) => {
  if (key !== session.key && key !== null) return
  const user = session.user()?.id
  if (chat === null ? user !== undefined : user !== chat.user) {
    if (chat === null) begin()
    else chat.end('You signed out in another tab.')
  }
})

begin()
