import { createHash, randomBytes } from 'node:crypto'
import { chmod, link, mkdir, open, readdir, realpath, rm } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * Keeps a folder for one living process. The lock is a listening socket, so the kernel lets go of it however its
 * holder ends, and neither process ids nor clocks matter.
 *
 * A Unix socket's file outlives its process, so files are numbered: the holder is whoever listens on the greatest
 * number. A starter that finds it silent takes the next number with `link`, which only one can, and the file is
 * listening from its first moment. The greatest number is never removed: a slow starter can't take it twice.
 */
export interface FolderLock {
  release(): Promise<void>
}

/** Null when a living process holds the folder. Rejects when the file system can't hold sockets. */
export async function lockFolder(path: string): Promise<FolderLock | null> {
  const folder = await realpath(path)
  return process.platform === 'win32' ? lockPipe(folder) : lockSocket(folder)
}

/** Names that the lock leaves in its folder. */
export const lockFile = /^lock-(\d+|new-[0-9a-f]+)\.sock$/

/** `sun_path` holds 108 bytes on Linux and 104 on macOS, with a zero at the end. */
const socketPathBytes = 100

async function lockSocket(folder: string): Promise<FolderLock | null> {
  const place = await socketPlace(folder)
  try {
    const own = `lock-new-${randomBytes(6).toString('hex')}.sock`
    const server = await listen(place.address(own))
    // Whoever may pass the folder may ask whether it is held: a later start may run as another user.
    await chmod(join(place.folder, own), 0o666)
    const taken = await takeNumber(place, own).catch(async (error) => {
      await closed(server)
      throw error
    })
    await rm(join(place.folder, own), { force: true })
    if (!taken) {
      await closed(server)
      return null
    }
    server.unref()
    return { release: () => closed(server) }
  } finally {
    await place.close()
  }
}

async function takeNumber(place: SocketPlace, own: string): Promise<boolean> {
  for (;;) {
    const greatest = Math.max(0, ...(await numbers(place.folder)))
    if (greatest > 0 && (await answers(place.address(name(greatest))))) return false
    try {
      await link(join(place.folder, own), join(place.folder, name(greatest + 1)))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue
      throw error
    }
    const after = await numbers(place.folder)
    if (Math.max(...after) > greatest + 1) {
      // Greater ones came and older ones went since we looked: ours is the leftover.
      await rm(join(place.folder, name(greatest + 1)), { force: true })
      continue
    }
    for (const old of after) {
      if (old <= greatest) await rm(join(place.folder, name(old)), { force: true })
    }
    return true
  }
}

const name = (number: number) => `lock-${number}.sock`

async function numbers(folder: string): Promise<number[]> {
  const found: number[] = []
  for (const file of await readdir(folder)) {
    const match = /^lock-(\d+)\.sock$/.exec(file)
    if (match !== null) found.push(Number(match[1]))
  }
  return found
}

interface SocketPlace {
  folder: string
  /** What to bind and connect to for a file in the folder. */
  address(file: string): string
  close(): Promise<void>
}

async function socketPlace(folder: string): Promise<SocketPlace> {
  const longest = join(folder, `lock-new-${'0'.repeat(12)}.sock`)
  if (Buffer.byteLength(longest) <= socketPathBytes) {
    return { folder, address: (file) => join(folder, file), close: async () => {} }
  }
  if (process.platform === 'linux') {
    const handle = await open(folder)
    const short = `/proc/self/fd/${handle.fd}`
    return { folder, address: (file) => `${short}/${file}`, close: () => handle.close() }
  }
  const short = join(tmpdir(), `parley-lock-${digest(folder)}`)
  await mkdir(short, { recursive: true, mode: 0o700 })
  return { folder: short, address: (file) => join(short, file), close: async () => {} }
}

async function lockPipe(folder: string): Promise<FolderLock | null> {
  try {
    // A named pipe has one owner and is gone with it.
    const server = await listen(`\\\\.\\pipe\\parley-${digest(folder.toLowerCase())}`)
    server.unref()
    return { release: () => closed(server) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return null
    throw error
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 24)

function listen(address: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    server.listen(address, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()))
}

/** Only a refusal or a missing file proves that nobody listens; a full backlog or a foreign owner does not. */
function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')
    })
  })
}
