import { limits } from '@parley/proto/limits'

/** Room for what stands around the entries. */
const envelopeBytes = 1_024

/**
 * Entries as JSON texts, as many of the first as fit into a page of 256 KiB, and never none of some: the contract's
 * bounds keep the largest entry below that.
 */
export function cutToPage(entries: readonly unknown[]): string[] {
  const texts: string[] = []
  let bytes = envelopeBytes
  for (const entry of entries) {
    const text = JSON.stringify(entry)
    bytes += Buffer.byteLength(text) + 1
    if (bytes > limits.pageBytes && texts.length > 0) break
    texts.push(text)
  }
  return texts
}

/** `{name: [entries…], …rest}` without making the entries' texts again. */
export function pageText(name: string, texts: readonly string[], rest: object): string {
  const tail = JSON.stringify(rest)
  return `{${JSON.stringify(name)}:[${texts.join(',')}]${tail === '{}' ? '}' : `,${tail.slice(1)}`}`
}
