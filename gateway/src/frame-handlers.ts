import type { CommandDraft } from '@parley/platform/command-writer/command-writer'
import { type Failure, failure } from '@parley/proto/errors'
import type {
  Auth,
  ClientFrame,
  Read,
  ServerFrame,
  Sync,
  Typing,
  Watch,
} from '@parley/proto/frames'

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
  read(request: Read): void
  /** Within its rate. */
  type(request: Typing): void
  /** Within its rate. */
  watch(request: Watch): void
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
  edit: ({ user, submit }, { id, conversation, target, body }) =>
    submit({ type: 'edit', id, conversation, sender: user, target, body }),
  delete: ({ user, submit }, { id, conversation, target }) =>
    submit({ type: 'delete', id, conversation, sender: user, target }),
  react: ({ user, submit }, { id, conversation, target, emoji, remove }) =>
    submit({
      type: 'react',
      id,
      conversation,
      sender: user,
      target,
      emoji,
      ...(remove === true && { remove }),
    }),
  read: (handling, frame) => handling.read(frame),
  typing: (handling, frame) => handling.type(frame),
  sync: (handling, frame) => handling.sync(frame),
  watch: (handling, frame) => handling.watch(frame),
  ping: ({ now, send }, { ref }) =>
    send(ref === undefined ? { type: 'pong', time: now } : { type: 'pong', ref, time: now }),
  auth: (handling, frame) => handling.renew(frame),
}
