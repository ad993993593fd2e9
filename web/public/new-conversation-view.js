import { el, keyed, setText } from './dom.js'
import { newId } from './ids.js'

const typingMs = 200
const resultLimit = 20

/**
 * The dialog that begins a conversation: with one person a direct one, with more a group.
 * @param {{find: (id: string) => any, api: any, people: any, me: string, clock: any,
 *   onMade: (conversation: any) => void}} parts
 */
export function createNewConversationView({ find, api, people, me, clock, onMade }) {
  const dialog = find('new-dialog')
  const search = find('new-search')
  const title = find('new-title')
  const start = find('new-start')
  const chosen = new Map()
  let found = []
  let note = ''
  let busy = false
  /** The same for each try, so that a group isn't made twice. */
  let groupId = ''
  let searching = new AbortController()
  let timer

  function open() {
    chosen.clear()
    found = []
    note = ''
    groupId = newId(clock.now())
    search.value = ''
    title.value = ''
    setText(find('new-error'), '')
    render()
    dialog.showModal()
    search.focus()
  }

  async function look() {
    searching.abort()
    searching = new AbortController()
    const { signal } = searching
    const query = search.value.trim()
    if (query === '') {
      found = []
      note = ''
      return render()
    }
    const answer = await api.findUsers(query, resultLimit, signal)
    if (signal.aborted) return
    found = answer.ok ? answer.body.users.filter(({ id }) => id !== me) : []
    if (!answer.ok) note = answer.message
    else if (found.length === 0) note = 'Nobody’s name begins with that.'
    else note = answer.body.next ? 'There are more; write more of the name.' : ''
    for (const user of found) people.learn(user)
    render()
  }

  async function make() {
    busy = true
    render()
    const members = [...chosen.keys()]
    const name = title.value.trim()
    const group = { id: groupId, kind: 'group', members }
    const body =
      members.length === 1
        ? { kind: 'direct', members }
        : name === ''
          ? group
          : { ...group, title: name }
    const answer = await api.createConversation(body)
    busy = false
    render()
    setText(find('new-error'), answer.ok ? '' : answer.message)
    if (!answer.ok) return
    dialog.close()
    onMade(answer.body.conversation)
  }

  function choose(user, isChosen) {
    if (isChosen) chosen.set(user.id, user)
    else chosen.delete(user.id)
    render()
  }

  function render() {
    setText(find('new-note'), note)
    keyed(find('new-results'), found, {
      keyOf: ({ id }) => id,
      make: (user) => {
        const box = el('input', {
          type: 'checkbox',
          onchange: () => choose(user, box.checked),
        })
        const name = el('span', { className: 'name', dir: 'auto' }, user.displayName)
        const username = el('span', { className: 'username' }, `@${user.username}`)
        return el('li', {}, el('label', {}, box, name, username))
      },
      update: (node, { id }) => {
        node.querySelector('input').checked = chosen.has(id)
      },
    })
    keyed(find('new-chosen'), [...chosen.values()], {
      keyOf: ({ id }) => id,
      make: (user) => {
        const remove = el('button', {
          type: 'button',
          'aria-label': `Leave out ${user.displayName}`,
          textContent: '×',
          onclick: () => {
            choose(user, false)
            search.focus()
          },
        })
        return el('li', {}, el('span', { dir: 'auto' }, user.displayName), remove)
      },
      update: () => {},
    })
    find('new-chosen-field').hidden = chosen.size === 0
    find('new-title-field').hidden = chosen.size < 2
    start.disabled = chosen.size === 0 || busy
    setText(start, chosen.size > 1 ? 'Start group' : 'Start')
  }

  search.addEventListener('input', () => {
    clearTimeout(timer)
    timer = setTimeout(look, typingMs)
  })
  search.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.isComposing) return
    /* Enter looks at once; it doesn't start a conversation with who was chosen so far. */
    event.preventDefault()
    clearTimeout(timer)
    look()
  })
  find('new-form').addEventListener('submit', (event) => {
    event.preventDefault()
    if (chosen.size > 0 && !busy) make()
  })
  find('new-cancel').addEventListener('click', () => dialog.close())
  dialog.addEventListener('close', () => searching.abort())
  find('new-conversation').addEventListener('click', open)
}
