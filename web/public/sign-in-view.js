import { setText, show } from './dom.js'

/**
 * The first page: sign in, or make an account. Calls `onDone` once somebody is signed in.
 * @param {{session: any, notice: string, onDone: () => void}} parts
 */
export function showSignIn({ session, notice, onDone }) {
  const find = show('sign-in-template')
  const fields = {
    username: find('username'),
    displayName: find('display-name'),
    password: find('password'),
  }
  const submit = find('sign-in-submit')
  const switcher = find('sign-in-switch')
  let isNew = false
  let busy = false

  function render() {
    setText(find('sign-in-heading'), isNew ? 'Create an account' : 'Sign in')
    setText(submit, isNew ? 'Create account' : 'Sign in')
    setText(switcher, isNew ? 'I have an account already' : 'I’m new here: create an account')
    find('display-name-field').hidden = !isNew
    find('username-hint').hidden = !isNew
    find('password-hint').hidden = !isNew
    fields.password.autocomplete = isNew ? 'new-password' : 'current-password'
    submit.disabled = busy
  }

  function tell(problem, field) {
    setText(find('sign-in-error'), problem)
    for (const input of Object.values(fields)) input.removeAttribute('aria-invalid')
    field?.setAttribute('aria-invalid', 'true')
    field?.focus()
  }

  async function attempt() {
    const username = fields.username.value.trim().toLowerCase()
    const password = fields.password.value
    const displayName = fields.displayName.value.trim()
    if (username === '') return tell('Please write a username.', fields.username)
    if (password === '') return tell('Please write a password.', fields.password)
    tell('')
    busy = true
    render()
    const details =
      displayName === '' ? { username, password } : { username, password, displayName }
    const answer = isNew ? await session.signUp(details) : await session.signIn(username, password)
    busy = false
    render()
    if (answer.ok) onDone()
    else tell(answer.message, fieldOf(answer))
  }

  function fieldOf({ code, message }) {
    if (/^displayName/i.test(message)) return fields.displayName
    if (code === 'conflict' || /^username/i.test(message)) return fields.username
    return code === 'invalid' || code === 'unauthenticated' ? fields.password : undefined
  }

  find('sign-in-form').addEventListener('submit', (event) => {
    event.preventDefault()
    if (!busy) attempt()
  })
  switcher.addEventListener('click', () => {
    isNew = !isNew
    tell('')
    render()
    fields.username.focus()
  })
  const noticeLine = find('sign-in-notice')
  setText(noticeLine, notice)
  noticeLine.hidden = notice === ''
  document.title = 'Parley'
  render()
  fields.username.focus()
}
