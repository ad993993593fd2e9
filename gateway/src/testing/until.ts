/** Resolves with the first truthy answer, asked every few milliseconds; rejects with `what` after the deadline. */
export async function until<T>(
  find: () => T | undefined | null | false,
  what: () => string,
  deadlineMs = 5_000,
): Promise<T> {
  const began = performance.now()
  for (;;) {
    const found = find()
    if (found) return found
    if (performance.now() - began > deadlineMs) throw new Error(what())
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
