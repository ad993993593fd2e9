/**
 * Names of people, and who is in which conversation: asked for when they are first shown, and remembered. Each question
 * is asked once, a few at a time.
 */

const atOnce = 4
const askAgainMs = 5_000
/** Members of one conversation whose names are of interest. */
const memberLimit = 20

export function createPeople({ api, me, onChange }) {
  const users = new Map([[me.id, me]])
  /** By conversation: `{ids, count}`. */
  const members = new Map()
  const asked = new Set()
  const waiting = []
  let running = 0

  function ask(what, work) {
    if (asked.has(what)) return
    asked.add(what)
    waiting.push({ what, work })
    next()
  }

  async function next() {
    if (running >= atOnce || waiting.length === 0) return
    const { what, work } = waiting.shift()
    running += 1
    const isAnswered = await work()
    running -= 1
    if (isAnswered) asked.delete(what)
    else setTimeout(() => asked.delete(what), askAgainMs)
    onChange()
    next()
  }

  async function fetchUser(id) {
    const answer = await api.user(id)
    if (answer.ok) users.set(id, answer.body)
    else if (answer.status === 404) {
      users.set(id, { id, username: '', displayName: 'Someone who left Parley' })
    }
    return users.has(id)
  }

  async function fetchMembers(id) {
    const answer = await api.conversation(id, memberLimit)
    if (answer.ok) keepMembers(answer.body.conversation)
    return answer.ok
  }

  function keepMembers({ id, members: page, memberCount }) {
    members.set(id, { ids: page.map(({ user }) => user), count: memberCount })
  }

  /** Undefined until it is known. */
  function nameOf(id) {
    const user = users.get(id)
    if (user === undefined) ask(id, () => fetchUser(id))
    return user?.displayName
  }

  function membersOf(id) {
    const known = members.get(id)
    if (known === undefined) ask(`of ${id}`, () => fetchMembers(id))
    return known
  }

  const othersOf = (id) => membersOf(id)?.ids.filter((user) => user !== me.id)

  return {
    nameOf,
    learn: (user) => users.set(user.id, user),
    learnMembers: keepMembers,
    /** Somebody joined or left. */
    forgetMembers: (id) => members.delete(id),

    /** What a conversation is called here: its title, else the others in it. */
    titleOf({ id, title, kind }) {
      if (title) return title
      const others = othersOf(id)
      if (others === undefined) return '…'
      const names = others.slice(0, 4).map((user) => nameOf(user) ?? '…')
      if (names.length > 0) return names.join(', ')
      return kind === 'direct' ? 'A conversation with yourself' : 'Only you'
    },
    /** Who is in a group, in words; empty for a direct conversation. */
    membersLine({ id, kind }) {
      const known = kind === 'direct' ? undefined : membersOf(id)
      if (known === undefined) return ''
      const names = known.ids.map((user) => (user === me.id ? 'you' : (nameOf(user) ?? '…')))
      const more = known.count - names.length
      return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
    },
  }
}
