import { type ChildProcess, spawn } from 'node:child_process'
import { as, type ChildUser } from './embedded-user.ts'

export interface Watch {
  end(): void
}

/**
 * A shell that outlives us by a moment: when our end of its input closes, however we ended, it asks the server for a
 * fast shutdown. So a killed Parley leaves no server behind. It runs as the server's user and can signal no other's.
 */
export function watchParent(server: ChildProcess, user: ChildUser | undefined): Watch {
  if (process.platform === 'win32' || server.pid === undefined) return { end() {} }
  const shell = spawn('/bin/sh', ['-c', 'read -r _; kill -INT "$0"', String(server.pid)], {
    ...as(user),
    cwd: '/',
    env: {},
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  // Without a shell the server is found and stopped at the next start.
  shell.on('error', () => {})
  shell.stdin?.on('error', () => {})
  shell.unref()
  const end = () => {
    shell.kill('SIGKILL')
  }
  // The number of a server that has ended may be given to another process.
  server.once('exit', end)
  return { end }
}
