import type { CommandDraft, OnReply } from '@parley/platform/command-writer/command-writer'
import type { Database } from '@parley/platform/ports/database'
import { failure } from '@parley/proto/errors'
import { newId } from '@parley/proto/ids'
import { expect, test } from 'vitest'
import { type ChangesParts, createChanges } from './changes.ts'

/** What a change answers when a part does not do its own; with all parts well it is tested over HTTP. */

const late = failure('unavailable', 'not yet readable', 1_000)
const noDatabase = {
  snapshot: () => Promise.reject(new Error('nothing is to be read')),
} as unknown as Database

function changesWith(parts: Partial<ChangesParts>) {
  const drafts: CommandDraft[] = []
  const submit = (draft: CommandDraft, onReply: OnReply) => {
    drafts.push(draft)
    const { id, conversation } = draft
    onReply({ type: 'ack', id, conversation, seq: 2, at: 1 }, new Uint8Array())
    return { ok: true as const }
  }
  const changes = createChanges({
    writer: { submit },
    heads: { waitFor: async () => late },
    database: noDatabase,
    users: { missing: async () => [] },
    ...parts,
  })
  return { changes, drafts }
}

const scope = { sender: newId(), conversation: newId() }
const user = newId()

test('[H7] a change that the database does not show in time is unavailable, and not shown', async () => {
  const { changes, drafts } = changesWith({})
  const answers = [
    await changes.create(scope.sender, { kind: 'group', members: [user] }),
    await changes.addMembers(scope, { members: [user] }),
    await changes.removeMember(scope, user),
    await changes.setRole(scope, user, 'admin'),
    await changes.setTitle(scope, 'T'),
  ]
  expect(answers).toEqual(answers.map(() => late))
  expect(drafts.map((draft) => draft.type)).toEqual(['create', 'add', 'remove', 'role', 'update'])
})

test('[H7] each change waits for the seq of its own ack, up to 5 s', async () => {
  const waits: unknown[][] = []
  const { changes } = changesWith({
    heads: {
      waitFor: async (...wait) => {
        waits.push(wait)
        return { ok: true }
      },
    },
  })
  expect(await changes.removeMember(scope, user)).toEqual({ ok: true })
  expect(waits).toEqual([[scope.conversation, 2, 5_000]])
})

test('a message is answered when it is durable, whatever the database does', async () => {
  const { changes } = changesWith({})
  const sent = await changes.send(scope, { id: newId(), body: { text: 'x' } })
  expect(sent).toEqual({ ok: true, seq: 2, at: 1, duplicate: false })
})
