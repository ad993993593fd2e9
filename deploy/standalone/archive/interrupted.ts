import type { Lifecycle } from '@parley/platform/process/lifecycle'

/**
 * Does the work of a command that a signal may interrupt: the process then says `sentence` and exits 1, not 0 as a
 * service that is told to stop.
 */
export async function failWhenInterrupted<T>(
  lifecycle: Lifecycle,
  sentence: string,
  work: () => Promise<T>,
): Promise<T> {
  let told = false
  const stop = () => {
    if (!told) throw new Error(sentence)
  }
  lifecycle.add('the command', stop, 1_000)
  try {
    const result = await work()
    told = true
    return result
  } catch (error) {
    /* What fails because it is being stopped tells nobody why. */
    told = !lifecycle.stopping.aborted
    throw error
  }
}
