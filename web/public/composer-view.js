import { setText } from './dom.js'

/** Where a message is written; what is not sent yet is kept for each conversation while the page is open. */

/** Room in a body for what stands around the text. */
const bodyOverheadBytes = 64
const maxHeight = 200

/**
 * @param {{find: (id: string) => any, store: any, limits: () => any,
 *   onSend: (conversation: string, text: string) => {ok: true} | {ok: false, message: string}}} parts
 */
export function createComposerView({ find, store, limits, onSend }) {
  const input = find('composer-text')
  const drafts = new Map()
  let openId

  function fit() {
    input.style.height = 'auto'
    input.style.height = `${Math.min(input.scrollHeight + 2, maxHeight)}px`
  }

  function check(text) {
    const { textLength, bodyBytes } = limits()
    if (text.length > textLength) {
      return `A message has at most ${textLength.toLocaleString()} characters; this has ${text.length.toLocaleString()}.`
    }
    if (new TextEncoder().encode(text).length > bodyBytes - bodyOverheadBytes) {
      return 'This message is too large to send. Make it shorter, or send it in parts.'
    }
    return ''
  }

  function submit() {
    const text = input.value.trim()
    if (openId === undefined || text === '') return
    let problem = check(text)
    if (problem === '') {
      const kept = onSend(openId, text)
      if (!kept.ok) problem = kept.message
    }
    setText(find('composer-error'), problem)
    if (problem !== '') return
    input.value = ''
    drafts.delete(openId)
    fit()
  }

  find('composer').addEventListener('submit', (event) => {
    event.preventDefault()
    submit()
    input.focus()
  })
  input.addEventListener('keydown', (event) => {
    /* While an input method composes, Enter is its own (229 in Safari). */
    const isComposing = event.isComposing || event.keyCode === 229
    if (event.key !== 'Enter' || event.shiftKey || isComposing) return
    event.preventDefault()
    submit()
  })
  input.addEventListener('input', () => {
    if (openId !== undefined) drafts.set(openId, input.value)
    setText(find('composer-error'), check(input.value.trim()))
    fit()
  })

  return {
    render() {
      const conversation = store.opened()
      if (conversation?.id === openId) return
      openId = conversation?.id
      input.value = drafts.get(openId) ?? ''
      setText(find('composer-error'), '')
      fit()
    },
    /** Where a keyboard is at hand; on a touch screen it would come up unasked. */
    focus() {
      if (matchMedia('(pointer: fine)').matches) input.focus()
      else find('conversation-title').focus()
    },
  }
}
