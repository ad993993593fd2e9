import { send } from './request.js'

/** Who tries the routes. The tokens are in memory only: they are gone with the page. */
export function createSignIn() {
  const find = (id) => document.getElementById(id)
  const form = find('sign-in')
  const notice = find('sign-in-notice')
  /** @type {{accessToken: string, refreshToken: string, expiresAt: number} | undefined} */
  let tokens

  function show(user) {
    form.hidden = user !== undefined
    find('signed-in').hidden = user === undefined
    find('who').textContent = user?.username ?? ''
  }

  function forget(why) {
    tokens = undefined
    show(undefined)
    notice.textContent = why
  }

  /** Takes over the tokens of any answer that holds some, such as that of register. */
  function adopt(text) {
    let answer
    try {
      answer = JSON.parse(text)
    } catch {
      return
    }
    if (typeof answer?.accessToken !== 'string') return
    const { accessToken, refreshToken, expiresIn, user } = answer
    tokens = { accessToken, refreshToken, expiresAt: Date.now() + expiresIn * 1000 }
    show(user)
    notice.textContent = ''
  }

  const post = (path, body) => send({ method: 'POST', path, body: JSON.stringify(body) })

  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    const { username, password } = form.elements
    notice.textContent = 'Signing in…'
    const answer = await post('/v1/auth/login', {
      username: username.value,
      password: password.value,
    })
    if (!answer.ok) notice.textContent = answer.reason
    else if (answer.status === 200) {
      password.value = ''
      adopt(answer.text)
      find('sign-out').focus()
    } else notice.textContent = detailOf(answer.text)
  })
  find('sign-out').addEventListener('click', () => {
    forget('')
    form.elements.username.focus()
  })

  return {
    adopt,
    /** The access token, renewed when it is about to expire; undefined when nobody is signed in. */
    async token() {
      if (tokens !== undefined && tokens.expiresAt - Date.now() < 10_000) {
        const answer = await post('/v1/auth/refresh', { refreshToken: tokens.refreshToken })
        if (answer.ok && answer.status === 200) adopt(answer.text)
        else if (answer.ok && answer.status === 401) forget('The session has ended: sign in again.')
      }
      return tokens?.accessToken
    },
  }
}

function detailOf(text) {
  try {
    return JSON.parse(text).detail
  } catch {
    return 'The answer can’t be read.'
  }
}
