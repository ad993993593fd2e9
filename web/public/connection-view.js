import { setText } from './dom.js'
import { connectionWords } from './words.js'

/** The line that always says how the connection is. */
export function createConnectionView({ find, socket }) {
  const line = find('connection')
  const retry = find('connection-retry')
  const countdown = find('connection-countdown')
  let countdownTo
  retry.addEventListener('click', () => socket.retryNow())
  const timer = setInterval(count, 1_000)

  /** Beside what is read out, which would be read out each second. */
  function count() {
    if (countdownTo === undefined) return setText(countdown, '')
    const seconds = Math.max(1, Math.ceil((countdownTo - Date.now()) / 1000))
    setText(countdown, `Trying again in ${seconds} s.`)
  }

  return {
    render() {
      const words = connectionWords(socket.state())
      line.dataset.tone = words.tone
      setText(find('connection-text'), words.text)
      retry.hidden = !words.canRetry
      countdownTo = words.countdownToMs
      count()
    },
    stop: () => clearInterval(timer),
  }
}
