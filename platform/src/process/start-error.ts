/** Why a process can't start, in one sentence that names what to change. Shown without a stack. */
export class StartError extends Error {
  override readonly name = 'StartError'
}
