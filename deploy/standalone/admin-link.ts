import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '@parley/platform/process/start-error'
import { type AdminAnswers, adminFile } from './admin-listener.ts'

/** Asks the process that runs on a data folder. */
export interface AdminLink {
  /** Rejects with StartError, one sentence, when it can't be reached or refuses. */
  ask<P extends keyof AdminAnswers>(route: P): Promise<AdminAnswers[P]>
}

/** Longer than any answer takes by its own bounds. */
const answerMs = 120_000

/** The caller knows that a process runs on the folder. */
export async function linkTo(dataDir: string): Promise<AdminLink> {
  const { port, secret } = await readPlace(dataDir)
  return {
    async ask<P extends keyof AdminAnswers>(route: P) {
      let response: Response
      let body: { message?: unknown }
      try {
        response = await fetch(`http://127.0.0.1:${port}${route}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${secret}` },
          redirect: 'error',
          signal: AbortSignal.timeout(answerMs),
        })
        body = (await response.json()) as { message?: unknown }
      } catch {
        throw notYet(dataDir)
      }
      if (response.status === 503) throw new StartError(String(body.message))
      if (!response.ok) throw notYet(dataDir)
      return body as AdminAnswers[P]
    },
  }
}

async function readPlace(dataDir: string): Promise<{ port: number; secret: string }> {
  try {
    const text = await readFile(join(dataDir, adminFile), 'utf8')
    const { port, secret } = JSON.parse(text) as { port?: unknown; secret?: unknown }
    if (typeof port === 'number' && typeof secret === 'string') return { port, secret }
  } catch {
    /* Not written yet, or removed already. */
  }
  throw notYet(dataDir)
}

function notYet(dataDir: string): StartError {
  return new StartError(
    `the Parley that runs on ${dataDir} does not answer: it is starting or stopping, or another user's; try again`,
  )
}
