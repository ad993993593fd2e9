import type { Codec } from '@parley/proto/codec'
import type { CloseReason } from '@parley/proto/errors'

/** What is needed of a socket. Never called from inside a socket's message callback, but for `end`. */
export interface Link {
  /** 2: the socket dropped the message. */
  send(message: Uint8Array): number
  /** What was sent and the kernel has not taken yet. */
  bufferedBytes(): number
  /** Sends within `write` leave in one syscall. */
  cork(write: () => void): void
  end(code: number, reason: string): void
}

/** Neighbouring frames, encoded once for all who get them. */
export interface Chunk {
  /** The inside of a batch. */
  readonly bytes: Uint8Array
  readonly count: number
  /** A whole message of them. */
  readonly message: Uint8Array
}

export interface OutboundBounds {
  /** Events are withheld while more than this is on its way to the reader. */
  eventBytes: number
  /** What may be lost is dropped while more than this is on its way: well below `eventBytes` ([G10]). */
  ephemeralBytes: number
  /** Answers may use this much beyond it; then the connection is closed. */
  answerBytes: number
  /** A message holds no more than this, but for a single frame. */
  messageBytes: number
  /** How long a reader may stay behind. */
  lagMs: number
}

/** Where connections meet that have something to write; see flusher.ts. */
export interface Outlet {
  /** This connection has something to write. */
  add(outbound: Outbound): void
  /** Whether it is the time of writing, outside of every callback of a socket. */
  readonly writing: boolean
}

/**
 * What waits to be written to one connection. Events are withheld (and the reader is told by a gap) once its link
 * carries no more; answers are not, within a bound of their own. No byte is held twice: what `flush` hands over is
 * the socket's to keep.
 */
export class Outbound {
  readonly codec: Codec
  /** Since when events are withheld, in milliseconds; null: they aren't. */
  laggingSince: number | null = null
  closed = false
  readonly #link: Link
  readonly #bounds: OutboundBounds
  readonly #outlet: Outlet
  readonly #now: () => number
  readonly #onSlow: () => void
  readonly #onWritten: (frames: number, bytes: number) => void
  #pending: Chunk[] = []
  #pendingBytes = 0

  constructor(options: {
    codec: Codec
    link: Link
    bounds: OutboundBounds
    outlet: Outlet
    now: () => number
    /** The reader is too slow; whoever is told closes it. */
    onSlow: () => void
    /** One message has left. */
    onWritten: (frames: number, bytes: number) => void
  }) {
    this.codec = options.codec
    this.#link = options.link
    this.#bounds = options.bounds
    this.#outlet = options.outlet
    this.#now = options.now
    this.#onSlow = options.onSlow
    this.#onWritten = options.onWritten
  }

  /** Bytes that the reader has not taken, as far as is known here. */
  get backlogBytes(): number {
    return this.closed ? 0 : this.#pendingBytes + this.#link.bufferedBytes()
  }

  /** More is on its way than events may add to. */
  get full(): boolean {
    return this.backlogBytes > this.#bounds.eventBytes
  }

  /** An answer: one frame. */
  answer(frame: Uint8Array): void {
    if (this.closed) return
    const { eventBytes, answerBytes } = this.#bounds
    // A single answer may be as large as the bound; what counts is what it is put on top of.
    if (this.backlogBytes > eventBytes + answerBytes) this.#onSlow()
    else this.#push({ bytes: frame, count: 1, message: frame })
  }

  /** Events or a notice of them. False when the link can't carry them: they are withheld, and must be told. */
  events(chunk: Chunk): boolean {
    if (this.closed || this.laggingSince !== null) return false
    const { eventBytes, messageBytes } = this.#bounds
    if (this.#pendingBytes + chunk.bytes.length > messageBytes && this.#outlet.writing) this.flush()
    if (this.closed) return false
    const backlog = this.backlogBytes
    if (backlog > 0 && backlog + chunk.bytes.length > eventBytes) {
      this.laggingSince = this.#now()
      this.#outlet.add(this)
      return false
    }
    this.#push(chunk)
    return true
  }

  /** [G10] What may be lost. False when it was: nothing of it waits, and no event is withheld on its account. */
  ephemeral(chunk: Chunk): boolean {
    if (this.closed || this.laggingSince !== null) return false
    if (this.backlogBytes + chunk.bytes.length > this.#bounds.ephemeralBytes) return false
    this.#push(chunk)
    return true
  }

  /** Whether a reader that lagged has taken enough to get events again. */
  recovered(): boolean {
    if (this.laggingSince === null || this.backlogBytes > this.#bounds.eventBytes / 2) return false
    this.laggingSince = null
    return true
  }

  /** Whether it has lagged for too long. */
  overdue(now: number): boolean {
    return this.laggingSince !== null && now - this.laggingSince >= this.#bounds.lagMs
  }

  /** Hands everything to the socket, in as few messages as bounds allow. */
  flush(): void {
    if (this.closed || this.#pending.length === 0) return
    const pending = this.#pending
    this.#pending = []
    this.#pendingBytes = 0
    const messages = this.#messages(pending)
    let dropped = false
    const write = () => {
      for (const message of messages) dropped ||= this.#link.send(message) === 2
    }
    if (messages.length === 1) write()
    else this.#link.cork(write)
    if (dropped) this.#onSlow()
  }

  /** Writes what waits, then closes. */
  end(reason: { code: number; text: CloseReason }): void {
    if (this.closed) return
    this.flush()
    if (this.closed) return
    this.closed = true
    this.#link.end(reason.code, reason.text)
  }

  /** The socket is gone. */
  abandon(): void {
    this.closed = true
    this.#pending = []
    this.#pendingBytes = 0
  }

  #push(chunk: Chunk): void {
    this.#pending.push(chunk)
    this.#pendingBytes += chunk.bytes.length
    this.#outlet.add(this)
  }

  #messages(pending: readonly Chunk[]): Uint8Array[] {
    const messages: Uint8Array[] = []
    let group: Chunk[] = []
    let bytes = 0
    for (const chunk of pending) {
      if (group.length > 0 && bytes + chunk.bytes.length > this.#bounds.messageBytes) {
        messages.push(this.#wrap(group))
        group = []
        bytes = 0
      }
      group.push(chunk)
      bytes += chunk.bytes.length
    }
    messages.push(this.#wrap(group))
    return messages
  }

  /** One chunk goes out as the message that all its readers share, without a copy. */
  #wrap(group: readonly Chunk[]): Uint8Array {
    const count = group.reduce((sum, chunk) => sum + chunk.count, 0)
    const parts = group.map((chunk) => chunk.bytes)
    const message =
      group.length === 1 ? (group[0] as Chunk).message : this.codec.wrapFrames(parts, count)
    this.#onWritten(count, message.length)
    return message
  }
}
