import { encodeSyncedFromFrames } from '@parley/proto/codec'
import { failure } from '@parley/proto/errors'
import type { Sync } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { answer, type Connection } from './connection.ts'
import type { Directory } from './directory.ts'
import { errorFrame } from './error-frame.ts'

/** Answers a `sync` with a page of the directory, no older than what this connection knows of. */
export async function answerSync(
  directory: Pick<Directory, 'events'>,
  connection: Connection,
  request: Sync,
): Promise<void> {
  const { ref, conversation, after } = request
  const { out, session, readers } = connection
  const reader = readers.get(conversation)
  const page = await directory.events({
    user: connection.user as string,
    conversation,
    after,
    limit: request.limit ?? limits.defaultPageEntries,
    knownHead: reader === undefined ? 0 : reader.next - 1,
  })
  session.synced()
  if (!connection.open) return
  if (!page.ok) {
    answer(connection, errorFrame(page, { ref }))
    return
  }
  // [G6] Removed while the page was read: nothing follows `removed`.
  if (reader !== undefined && reader.state === 'gone' && !readers.has(conversation)) {
    answer(connection, errorFrame(failure('not_found', 'there is no such conversation'), { ref }))
    return
  }
  // [G8] A page is large: one on top of a full link is the reader's to ask for again.
  if (out.full) {
    answer(connection, errorFrame(failure('overloaded', 'the link is full', 1_000), { ref }))
    return
  }
  const { frames, head, from, more } = page
  out.answer(encodeSyncedFromFrames(out.codec, { ref, conversation, head, from, more }, frames))
}
