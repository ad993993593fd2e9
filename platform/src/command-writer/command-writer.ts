import type { RpcRoutes } from '@parley/platform/rpc/connector'
import type { Command } from '@parley/proto/commands'
import type { Failure } from '@parley/proto/errors'
import type { Ack, ErrorFrame } from '@parley/proto/frames'

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

/** A command as its author knows it; the writer stamps time, rules and correlation. */
export type CommandDraft = DistributiveOmit<Command, 'at' | 'rules' | 'correlation'>

/** The reply as a frame, and the bytes it came in (MessagePack), so that a gateway need not encode it again. */
export type OnReply = (frame: Ack | ErrorFrame, bytes: Uint8Array) => void

/**
 * The way into the `commands` log for gateways and REST alike. Commands of one partition that arrive while an append
 * is in flight leave together in the next one, as one record.
 */
export interface CommandWriter {
  /**
   * Takes a command in, in order for its conversation. Refused at once, with nothing written: `invalid` for an id too
   * far ahead of the stamp, `overloaded` when too many commands wait. Else `onReply` is called exactly once: with the
   * owner's answer, or with `unavailable` (which means *unknown*) when the append failed or no reply came in time.
   */
  submit(draft: CommandDraft, onReply: OnReply): { ok: true } | Failure
  /** ReplyService, to be served at this writer's address. */
  readonly routes: RpcRoutes
  /** Resolves when every command taken in has been answered. */
  drained(): Promise<void>
  /** Answers what is still waiting with `unavailable` and takes nothing more. */
  close(): Promise<void>
}
