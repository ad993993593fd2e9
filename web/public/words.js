/** What is shown in words. */

const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const dayFormat = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const yearFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' })

export const timeOf = (at) => timeFormat.format(at)
export const fullTimeOf = (at) => fullFormat.format(at)

export function dayOf(at, now = new Date()) {
  const day = new Date(at)
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1)
  if (day.toDateString() === now.toDateString()) return 'Today'
  if (day.toDateString() === yesterday.toDateString()) return 'Yesterday'
  return (day.getFullYear() === now.getFullYear() ? dayFormat : yearFormat).format(day)
}

/** The time of today, the day before that. */
export function whenOf(at) {
  const day = dayOf(at)
  return day === 'Today' ? timeOf(at) : day
}

export function messageText({ text, deleted, attachments = 0 }) {
  if (deleted) return 'This message was deleted.'
  if (text !== '') return text
  return attachments > 0 ? 'An attachment, which this page can’t show yet.' : ''
}

/**
 * What happened to a conversation, as a sentence.
 * @param {{nameOf: (id: string) => string, me: string}} people
 */
export function noteText({ kind, sender, body }, { nameOf, me }) {
  const who = sender === me ? 'You' : nameOf(sender)
  const name = (id) => (id === me ? 'you' : nameOf(id))
  const names = (body.users ?? []).map(name).join(', ')
  const isSelf = body.users?.length === 1 && body.users[0] === sender
  switch (kind) {
    case 'created':
      return `${who} began this conversation.`
    case 'joined':
      return isSelf ? `${who} joined.` : `${who} added ${names}.`
    case 'left':
      return isSelf ? `${who} left.` : `${who} removed ${names}.`
    case 'role':
      return `${who} made ${name(body.user)} ${body.role === 'member' ? 'a member' : `an ${body.role}`}.`
    case 'updated':
      return `${who} named this conversation “${body.title}”.`
    default:
      return `${who} changed something that this page can’t show yet.`
  }
}

const kept = 'What you write is kept and sent later.'

/** The state of the connection: `{text, tone, countdownToMs?, canRetry}`. */
export function connectionWords(state) {
  switch (state.kind) {
    case 'online':
      return { text: 'Connected', tone: 'good', canRetry: false }
    case 'connecting':
      return { text: 'Connecting…', tone: 'wait', canRetry: false }
    case 'waiting':
      return {
        text: `${state.why || 'Not connected.'} ${kept}`,
        tone: 'bad',
        countdownToMs: state.untilMs,
        canRetry: true,
      }
    default:
      return { text: state.why, tone: 'bad', canRetry: true }
  }
}
