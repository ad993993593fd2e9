import type { CommandDraft } from '@parley/platform/command-writer/command-writer'
import type { Failure } from '@parley/proto/errors'
import { failure } from '@parley/proto/errors'
import type { Auth, ClientFrame, ServerFrame, Sync } from '@parley/proto/frames'

/** What a ready session lets a handler do. */
export interface Handling {
  readonly user: string
  /** Milliseconds since 1970. */
  readonly now: number
  send(frame: ServerFrame): void
  refuse(why: Failure, about: { id?: string | undefined; ref?: string | undefined }): void
  /** Into the log, in order for its conversation; refused within the window, the rate and [G5]. */
  submit(draft: CommandDraft): void
  sync(request: Sync): void
  renew(request: Auth): void
}

type Handlers = {
  readonly [T in ClientFrame['type']]: (
    handling: Handling,
    frame: Extract<ClientFrame, { type: T }>,
  ) => void
}

/** What a ready session does with each frame. */
export const frameHandlers: Handlers = {
  hello: (handling) => handling.refuse(failure('invalid', 'hello: was already said'), {}),
  send: ({ user, submit }, { id, conversation, body }) =>
    submit({ type: 'send', id, conversation, sender: user, body }),
  edit: later,
  delete: later,
  react: later,
  read: later,
  typing: later,
  sync: (handling, frame) => handling.sync(frame),
  watch: later,
  ping: ({ now, send }, { ref }) =>
    send(ref === undefined ? { type: 'pong', time: now } : { type: 'pong', ref, time: now }),
  auth: (handling, frame) => handling.renew(frame),
}

function later(handling: Handling, frame: { type: string; id?: string; ref?: string }): void {
  const why = failure('unsupported', `${frame.type}: is not supported by this server yet`)
  handling.refuse(why, { id: frame.id, ref: frame.ref })
}
