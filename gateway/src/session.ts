import type { CommandDraft } from '@parley/platform/command-writer/command-writer'
import type { SendLimiter } from '@parley/platform/send-limiter/send-limiter'
import {
  fullBucket,
  type TokenBucket,
  takeTokens,
} from '@parley/platform/send-limiter/token-bucket'
import type { DecodedFrame, DecodedMessage } from '@parley/proto/codec'
import { type CloseReason, type Failure, failure } from '@parley/proto/errors'
import type {
  Ack,
  Auth,
  ClientFrame,
  ErrorFrame,
  Hello,
  Sync,
  Typing,
  Watch,
} from '@parley/proto/frames'
import { CommandWindow } from './command-window.ts'
import { errorFrame } from './error-frame.ts'
import { frameHandlers, type Handling } from './frame-handlers.ts'
import { FrameQueue } from './frame-queue.ts'
import type { Identity, SessionBounds, SessionPorts } from './session-ports.ts'

/** While a fresh token is being verified, an expired one lasts this much longer at most. */
const renewalGraceMs = 3_000

/**
 * One connection's side of the protocol: frames in, what is to be done out. Pure: no clock, no I/O; every call carries
 * the time in milliseconds since 1970.
 */
export class Session {
  state: 'awaiting hello' | 'authenticating' | 'ready' | 'closed' = 'awaiting hello'
  identity: Identity | null = null
  readonly #ports: SessionPorts
  readonly #bounds: SessionBounds
  readonly #commands: CommandWindow
  readonly #helloBy: number
  readonly #frames: TokenBucket
  readonly #typing: TokenBucket
  readonly #watches: TokenBucket
  readonly #queued: FrameQueue
  #syncing = 0
  #renewing = 0

  constructor(ports: SessionPorts, bounds: SessionBounds, limiter: SendLimiter, now: number) {
    this.#ports = ports
    this.#bounds = bounds
    this.#commands = new CommandWindow({ bounds, limiter, submit: (d) => ports.submit(d) })
    this.#queued = new FrameQueue(bounds)
    this.#helloBy = now + bounds.helloMs
    this.#frames = fullBucket(bounds.frames, now)
    this.#typing = fullBucket(bounds.typing, now)
    this.#watches = fullBucket(bounds.watches, now)
  }

  /** Sends whose answer is still to come. */
  get inFlight(): number {
    return this.#commands.inFlight
  }

  /** `bytes` is the size of the message. */
  receive(message: DecodedMessage<ClientFrame>, bytes: number, now: number): void {
    if (this.state === 'closed') return
    if (!message.ok) {
      this.#fail(message, 'badFrame')
      return
    }
    const { frames } = message
    if (takeTokens(this.#frames, this.#bounds.frames, now, frames.length) > 0) {
      this.#fail(failure('rate_limited', 'too many frames', 1_000), 'tooMany')
      return
    }
    const share = bytes / frames.length
    for (const frame of frames) this.#take(frame, share, now)
  }

  /** A message that may not be read: of the wrong kind, or too large. */
  refuseMessage(why: Failure, reason: CloseReason): void {
    if (this.state !== 'closed') this.#fail(why, reason)
  }

  /** The hello was found good and `welcome` has been sent. */
  ready(identity: Identity, now: number): void {
    if (this.state !== 'authenticating') return
    this.state = 'ready'
    this.identity = identity
    for (const frame of this.#queued.take()) this.#take(frame, 0, now)
  }

  /** The hello was not good, or can't be looked into now. */
  rejected(why: Failure, reason: CloseReason): void {
    if (this.state === 'authenticating') this.#fail(why, reason)
  }

  /** A token of an `auth` was verified, or not. */
  renewed(result: ({ ok: true } & Identity) | Failure, ref: string | undefined, now: number): void {
    this.#renewing -= 1
    if (this.state !== 'ready' || this.identity === null) return
    if (!result.ok) {
      if (result.code === 'unauthenticated') this.#fail(result, 'unauthenticated', { ref })
      else this.#refuse(result, { ref })
      return
    }
    if (result.user !== this.identity.user) {
      const why = failure('unauthenticated', 'auth: the token is of another user')
      this.#fail(why, 'unauthenticated', { ref })
      return
    }
    const { user, session, expiresAt } = result
    this.identity = { user, session, expiresAt: Math.max(expiresAt, this.identity.expiresAt) }
    if (ref !== undefined && !this.#expire(now)) this.#ports.send({ type: 'ok', ref })
  }

  /** The answer to a submitted command; its frame is sent by whoever calls this. */
  replied(conversation: string, frame: Ack | ErrorFrame, now: number): void {
    this.#commands.replied(conversation, frame, now)
    this.#holdBack()
  }

  synced(): void {
    this.#syncing -= 1
  }

  /** The session was ended elsewhere ([G11]). */
  revoked(): void {
    if (this.state !== 'closed') {
      this.#fail(failure('unauthenticated', 'the session has ended'), 'expired')
    }
  }

  /** More has come for this connection than may wait. */
  overflowed(): void {
    if (this.state !== 'closed') {
      this.#fail(failure('overloaded', 'too much is waiting for this connection', 1_000), 'tooMany')
    }
  }

  /** The reader does not take what it is sent. */
  tooSlow(): void {
    this.#end('slowReader')
  }

  /** Something of ours is broken. */
  failed(): void {
    this.#end('serverError')
  }

  /** The time to drain is over. */
  goingAway(): void {
    this.#end('draining')
  }

  /** From now on sends are refused; what is in flight is still answered. */
  drain(reconnectAfterMs: number): void {
    this.#commands.draining = true
    if (this.state === 'ready') this.#ports.send({ type: 'drain', reconnectAfterMs })
  }

  /** To be called every second or so: deadlines of hello and token. */
  tick(now: number): void {
    if (this.state === 'awaiting hello' && now >= this.#helloBy) {
      this.#fail(failure('unauthenticated', 'no hello came in time'), 'noHello')
    } else if (this.state === 'ready') this.#expire(now - (this.#renewing > 0 ? renewalGraceMs : 0))
  }

  /** The connection is gone. */
  closed(): void {
    this.state = 'closed'
    this.#queued.take()
  }

  #take(decoded: DecodedFrame<ClientFrame>, bytes: number, now: number): void {
    const type = decoded.ok ? decoded.frame.type : decoded.type
    switch (this.state) {
      case 'closed':
        return
      case 'awaiting hello':
        this.#takeFirst(decoded, type)
        return
      case 'authenticating':
        if (type === 'hello') this.#refuse(failure('invalid', 'hello: was already said'), {})
        else this.#queue(decoded, bytes)
        return
      case 'ready':
        if (type !== 'auth' && this.#expire(now)) return
        if (decoded.ok) this.#handle(decoded.frame, now)
        else this.#refuse(failure(decoded.code, decoded.message), decoded)
    }
  }

  #takeFirst(decoded: DecodedFrame<ClientFrame>, type: string | undefined): void {
    if (type !== 'hello') {
      this.#fail(failure('unauthenticated', 'the first frame must be hello'), 'unauthenticated')
    } else if (!decoded.ok) {
      this.#refuse(failure(decoded.code, decoded.message), decoded)
    } else {
      this.state = 'authenticating'
      this.#ports.authenticate(decoded.frame as Hello)
    }
  }

  #queue(decoded: DecodedFrame<ClientFrame>, bytes: number): void {
    if (this.#queued.add(decoded, bytes)) return
    this.#fail(failure('overloaded', 'too much was sent before welcome', 1_000), 'tooMany')
  }

  #handle(frame: ClientFrame, now: number): void {
    const { user } = this.identity as Identity
    const handling: Handling = {
      user,
      now,
      send: (answer) => this.#ports.send(answer),
      refuse: (why, about) => this.#refuse(why, about),
      submit: (draft) => this.#submit(draft, now),
      sync: (request) => this.#sync(request),
      read: (request) => this.#ports.read(request),
      type: (request) => this.#type(request, now),
      watch: (request) => this.#watch(request, now),
      renew: (request) => this.#renew(request),
    }
    const handler = frameHandlers[frame.type] as (h: Handling, f: ClientFrame) => void
    handler(handling, frame)
  }

  #submit(draft: CommandDraft, now: number): void {
    const refused = this.#commands.offer(draft, now)
    if (refused !== null) this.#refuse(refused, { id: draft.id })
    this.#holdBack()
  }

  #holdBack(): void {
    if (this.state !== 'closed' && this.#commands.overfull) {
      this.#fail(failure('overloaded', 'too many conversations are held back', 1_000), 'tooMany')
    }
  }

  #type(request: Typing, now: number): void {
    const waitMs = takeTokens(this.#typing, this.#bounds.typing, now)
    if (waitMs === 0) this.#ports.typing(request)
    else if (request.ref !== undefined) {
      this.#refuse(failure('rate_limited', 'typing: too often', waitMs), { ref: request.ref })
    }
  }

  #watch(request: Watch, now: number): void {
    const waitMs = takeTokens(this.#watches, this.#bounds.watches, now)
    if (waitMs === 0) this.#ports.watch(request)
    else this.#refuse(failure('rate_limited', 'watch: too often', waitMs), { ref: request.ref })
  }

  #sync(request: Sync): void {
    if (this.#syncing >= this.#bounds.syncsInFlight) {
      const message = `at most ${this.#bounds.syncsInFlight} syncs may await their answer`
      this.#refuse(failure('too_many_inflight', message), { ref: request.ref })
      return
    }
    this.#syncing += 1
    this.#ports.sync(request)
  }

  #renew({ token, ref }: Auth): void {
    if (this.#renewing > 0) {
      const why = failure('too_many_inflight', 'auth: another token is being verified')
      this.#refuse(why, { ref })
      return
    }
    this.#renewing += 1
    this.#ports.verify(token, ref)
  }

  /** Closes when the token has expired at `now`. */
  #expire(now: number): boolean {
    if (this.identity === null || now < this.identity.expiresAt) return false
    this.#fail(failure('token_expired', 'the access token has expired'), 'expired')
    return true
  }

  #refuse(why: Failure, about: { id?: string | undefined; ref?: string | undefined }): void {
    this.#ports.send(errorFrame(why, about))
  }

  #fail(why: Failure, reason: CloseReason, about: { ref?: string | undefined } = {}): void {
    this.#refuse(why, about)
    this.#end(reason)
  }

  #end(reason: CloseReason): void {
    if (this.state === 'closed') return
    this.closed()
    this.#ports.close(reason)
  }
}
