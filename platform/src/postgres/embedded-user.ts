import { readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { StartError } from '../process/start-error.ts'

/** Whom PostgreSQL runs as. It refuses to run as root. */
export interface ChildUser {
  uid: number
  gid: number
}

/** Undefined when we are not root: the child runs as ourselves. */
export async function chooseUser(configured?: ChildUser): Promise<ChildUser | undefined> {
  if (process.getuid?.() !== 0) return undefined
  if (configured !== undefined) return configured
  const nobody = /^nobody:[^:]*:(\d+):(\d+):/m.exec(await readFile('/etc/passwd', 'utf8'))
  if (nobody === null) {
    throw new StartError(
      'PostgreSQL does not run as root and this system has no user "nobody": run Parley as another user, or set DATABASE_URL',
    )
  }
  return { uid: Number(nobody[1]), gid: Number(nobody[2]) }
}

/** The options of `spawn` that make a child run as the user. */
export function as(user: ChildUser | undefined): { uid?: number; gid?: number } {
  return user === undefined ? {} : { uid: user.uid, gid: user.gid }
}

/** The folder above `path` that keeps the user from coming to it, judged by mode bits, or undefined. */
export async function obstacle(path: string, user: ChildUser): Promise<string | undefined> {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (!(await allows(folder, user, 1))) return folder
    if (folder === dirname(folder)) return undefined
  }
}

/** `bit` is 4 for reading, 1 for running a file or passing a folder. */
export async function allows(path: string, user: ChildUser, bit: 1 | 4): Promise<boolean> {
  const { uid, gid, mode } = await stat(path)
  const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0
  return ((mode >> shift) & bit) !== 0
}
