import type { DecodedFrame } from '@parley/proto/codec'
import type { ClientFrame } from '@parley/proto/frames'

/** Frames that came behind a hello which is being looked into. */
export class FrameQueue {
  readonly #bounds: { queuedFrames: number; queuedBytes: number }
  #frames: DecodedFrame<ClientFrame>[] = []
  #bytes = 0

  constructor(bounds: { queuedFrames: number; queuedBytes: number }) {
    this.#bounds = bounds
  }

  /** False when there is no room; the frame is not kept then. */
  add(frame: DecodedFrame<ClientFrame>, bytes: number): boolean {
    this.#bytes += bytes
    const { queuedFrames, queuedBytes } = this.#bounds
    if (this.#frames.length >= queuedFrames || this.#bytes > queuedBytes) return false
    this.#frames.push(frame)
    return true
  }

  take(): DecodedFrame<ClientFrame>[] {
    const frames = this.#frames
    this.#frames = []
    this.#bytes = 0
    return frames
  }
}
