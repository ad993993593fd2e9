import { type Failure, failure } from '@parley/proto/errors'
import { limits } from '@parley/proto/limits'

const usernamePattern = /^[a-z0-9_.-]+$/

/** Names that would speak for the service or, mentioned, for everyone. */
const reservedUsernames = new Set(['everyone', 'here', 'parley', 'system'])

/** What would break a line or a terminal, U+0000 among it, which PostgreSQL's text can't hold. */
const controlCharacter = /[\p{Cc}\p{Zl}\p{Zp}]/u

export function checkUsername(username: string): Failure | undefined {
  if (
    username.length < limits.usernameMinLength ||
    username.length > limits.usernameMaxLength ||
    !usernamePattern.test(username)
  ) {
    return failure('invalid', 'username is 3 to 32 characters of a-z 0-9 _ . -')
  }
  if (reservedUsernames.has(username)) return failure('invalid', `username ${username} is reserved`)
  return undefined
}

/** A longer password is nobody's, and not worth its hash: a character is at most two code units. */
export const maxPasswordUnits = 2 * limits.passwordMaxLength

/** Length is all that is asked of a password (NIST SP 800-63B §3.1.1.2: no rules of composition). */
export function checkPassword(password: string): Failure | undefined {
  const length = countCharacters(password)
  if (
    length < limits.passwordMinLength ||
    length > limits.passwordMaxLength ||
    !password.isWellFormed()
  ) {
    return failure('invalid', 'password is 8 to 256 characters')
  }
  return undefined
}

/** The rule of display names and titles: 1 to 128 characters (code points), on one line, not all blank. */
export function checkName(field: 'displayName' | 'title', name: string): Failure | undefined {
  const max = field === 'title' ? limits.titleLength : limits.displayNameLength
  const length = countCharacters(name)
  if (length < 1 || length > max) return failure('invalid', `${field} is 1 to ${max} characters`)
  if (!name.isWellFormed() || controlCharacter.test(name) || name.trim() === '') {
    return failure('invalid', `${field} is text on one line, without control characters`)
  }
  return undefined
}

/** Code points, as JSON Schema counts them. */
function countCharacters(text: string): number {
  let count = 0
  for (const _ of text) count += 1
  return count
}
