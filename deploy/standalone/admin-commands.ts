import { parseArgs } from 'node:util'
import { endSessionsOf, listUsers } from '@parley/chat-service/accounts/administration'
import { makeInvite, maxInviteDays, maxInviteUses } from '@parley/chat-service/accounts/invites'
import type { Database } from '@parley/platform/ports/database'
import { StartError } from '@parley/platform/process/start-error'

export type Command =
  | { type: 'invite'; uses: number; days: number }
  | { type: 'user list' }
  | { type: 'sessions end'; user: string }

export interface CommandParts {
  database: Database
  now: () => number
  print: (line: string) => void
}

const usage =
  'the commands are `invite [--uses N] [--days D]`, `user list` and `sessions end USER` (a username or an id)'
const dayMs = 24 * 60 * 60_000

/** Throws StartError, one sentence, when the words are no command. */
export function readCommand(words: readonly string[]): Command {
  const { positionals, values } = parse(words)
  const command = positionals.join(' ')
  if (command === 'invite') {
    return {
      type: 'invite',
      uses: wholeNumber('--uses', values.uses ?? '1', maxInviteUses),
      days: wholeNumber('--days', values.days ?? '7', maxInviteDays),
    }
  }
  if (values.uses !== undefined || values.days !== undefined) throw new StartError(usage)
  if (command === 'user list') return { type: 'user list' }
  const [first, second, user] = positionals
  if (first === 'sessions' && second === 'end' && user && positionals.length === 3) {
    return { type: 'sessions end', user }
  }
  throw new StartError(usage)
}

function parse(words: readonly string[]) {
  try {
    const options = { uses: { type: 'string' }, days: { type: 'string' } } as const
    return parseArgs({ args: [...words], options, allowPositionals: true })
  } catch {
    throw new StartError(usage)
  }
}

function wholeNumber(name: string, text: string, max: number): number {
  const number = /^[1-9][0-9]{0,6}$/.test(text) ? Number(text) : 0
  if (number < 1 || number > max) throw new StartError(`${name} is a number from 1 to ${max}`)
  return number
}

/** Rejects with StartError when it can't be done. */
export async function runCommand(command: Command, parts: CommandParts): Promise<void> {
  const { database, now, print } = parts
  switch (command.type) {
    case 'invite': {
      const { uses, days } = command
      const options = { uses, lifeMs: days * dayMs, nowMs: now() }
      const code = await makeInvite(database, options)
      const until = new Date(now() + days * dayMs).toISOString()
      print(code)
      print(`${uses} may register with it until ${until}, where PARLEY_REGISTRATION is \`invite\`.`)
      return
    }
    case 'user list':
      for await (const user of listUsers(database)) {
        const { id, username, displayName, createdAt, sessions } = user
        print([username, id, createdAt, `${sessions} sessions`, displayName].join('\t'))
      }
      return
    case 'sessions end': {
      const ended = await endSessionsOf(database, command.user, now())
      if (ended === undefined) throw new StartError(`there is no user ${command.user}`)
      print(`${ended} sessions of ${command.user} have ended; their sockets close within 5 s.`)
    }
  }
}
