// A process of its own for disk-cache.test.ts: `node disk-cache-child.ts <what> <directory>`. Says in one JSON line how far it has come.
import { diskCache } from '../../src/content/disk-cache.ts'
import { type ByteStream, isOtaError } from '../../src/index.ts'
import { contentOf, contextOf, descriptorOf } from './cache-content.ts'

const [what, directory] = process.argv.slice(2) as [string, string]
const bytes = contentOf(1, 3_000_000)
const cache = diskCache({ directory })

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

async function* half(): ByteStream {
  // More than is collected before a write, so that something lies on the disk.
  yield bytes.subarray(0, 2_000_000)
  say({ at: 'half' })
  // Keeps the process alive until it is killed.
  await new Promise((resolve) => setTimeout(resolve, 600_000))
}

async function* whole(): ByteStream {
  yield bytes
}

try {
  await cache.hold(descriptorOf(bytes), async () => (what === 'half' ? half() : whole()), contextOf())
  say({ at: 'held' })
  if (what === 'hold') await new Promise((resolve) => setTimeout(resolve, 600_000))
} catch (error) {
  if (!isOtaError(error)) throw error
  say({ code: error.code, fault: error.fault, details: error.details })
}
await cache.close?.()
