import { el, keyed, setText } from './dom.js'
import { messageText, whenOf } from './words.js'

/** The list of conversations, latest first. */
export function createListView({ find, store, loader, people }) {
  const items = find('list-items')
  const retry = find('list-retry')
  const more = find('list-more')
  retry.addEventListener('click', () => loader.readList())
  more.addEventListener('click', () => loader.readMore())

  function make({ id }) {
    return el(
      'li',
      {},
      el(
        'a',
        { href: `#${id}` },
        el('span', { className: 'name', dir: 'auto' }),
        el('time', { className: 'when' }),
        el('span', { className: 'preview', dir: 'auto' }),
        el(
          'span',
          { className: 'unread', hidden: true },
          el('span', {}),
          el('span', { className: 'unseen' }, ' unread'),
        ),
      ),
    )
  }

  function update(node, conversation) {
    const link = node.firstElementChild
    const [name, when, preview, unread] = link.children
    setText(name, people.titleOf(conversation))
    setText(preview, previewOf(conversation))
    const { last } = conversation
    setText(when, last ? whenOf(last.at) : '')
    if (last) when.dateTime = new Date(last.at).toISOString()
    unread.hidden = conversation.unread === 0
    setText(unread.firstElementChild, unreadText(conversation.unread))
    const isOpen = store.opened()?.id === conversation.id
    if (isOpen) link.setAttribute('aria-current', 'true')
    else link.removeAttribute('aria-current')
  }

  function previewOf({ kind, last }) {
    if (last === null) return 'No messages yet'
    const text = messageText(last).replace(/\s+/g, ' ').slice(0, 200)
    if (last.sender === store.me) return `You: ${text}`
    return kind === 'direct' ? text : `${people.nameOf(last.sender) ?? '…'}: ${text}`
  }

  function note(count) {
    const { loading, loaded, problem } = loader.list
    if (problem !== '' && !loading) return `The list could not be read. ${problem}`
    if (!loaded) return 'Reading the list…'
    return count === 0 ? 'No conversations yet. Start one with “New”.' : ''
  }

  return {
    render() {
      const conversations = store.sorted()
      keyed(items, conversations, { keyOf: ({ id }) => id, make, update })
      const { loading, problem, next } = loader.list
      setText(find('list-note'), note(conversations.length))
      retry.hidden = problem === '' || loading
      more.hidden = next === undefined
      more.disabled = loading
    },
  }
}

export const unreadText = (count) => (count > 99 ? '99+' : String(count))
