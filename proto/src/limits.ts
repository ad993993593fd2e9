/**
 * Every bound of the contract, with its unit last in its name. Rules: SPEC.md [L1].
 * A bound that an operator may set stands in its process's settings with these as defaults.
 */
export const limits = {
  /** A WebSocket message up to this size is read. */
  frameBytes: 64 * 1024,
  /** Above `frameBytes` and up to this it is answered `too_large` and closed 4009; beyond, the link drops. */
  hardFrameBytes: 256 * 1024,
  /** A body, as MessagePack. */
  bodyBytes: 16 * 1024,
  /** `text`, in UTF-16 code units. */
  textLength: 8_000,
  /** Frames that one client message may hold. */
  framesPerMessage: 64,
  /** Containers within containers; the frame itself is the first level. */
  nesting: 16,
  /** Values that one client message may hold, containers and map keys included; what a decoder may build of 64 KiB. */
  elements: 16_384,
  /** The same for a message from the server, which may hold pages. */
  serverElements: 262_144,
  /** Sends of one connection that await their ack. */
  inFlight: 32,
  refLength: 64,
  deviceLength: 64,
  clientLength: 64,
  tokenLength: 4_096,
  ticketLength: 8_192,
  resumeConversations: 1_000,
  watchedUsers: 500,
  mentions: 100,
  attachments: 10,
  emojiLength: 32,
  errorMessageLength: 1_024,
  /** Conversations in one `heads` frame. */
  headsConversations: 1_000,
  /** Events of one resumed conversation that follow `welcome` before a `gap` does. */
  resumeEvents: 50,
  welcomeConversations: 1_000,
  /** Entries of a page, over REST and in `sync`. */
  pageEntries: 500,
  pageBytes: 256 * 1024,
  defaultPageEntries: 100,
  groupMembers: 10_000,
  /** Members that one command may name. */
  commandMembers: 500,
  titleLength: 128,
  displayNameLength: 128,
  usernameMinLength: 3,
  usernameMaxLength: 32,
  passwordMinLength: 8,
  passwordMaxLength: 256,
  httpBodyBytes: 64 * 1024,
  helloMs: 5_000,
  /** How far ahead of the server's time a client's id may lie. */
  idAheadMs: 5 * 60_000,
  syncWaitMs: 2_000,
  /** How long a refused-for-load id keeps later sends to its conversation refused ([G5]). */
  refusalMs: 30_000,
  /** Accepted ids that a conversation keeps in memory ([R8]). */
  keptIds: 1_024,
} as const

/** The greatest integer that a frame may hold: 2^53 − 1. */
export const maxInteger = Number.MAX_SAFE_INTEGER
