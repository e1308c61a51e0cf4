import { ok, strictEqual } from 'node:assert/strict'
import type { AgentPort } from '../../plugin/ports.ts'
import { contextOf, expectBytes, sameBytes } from '../content.ts'
import { refused, survives } from '../refusal.ts'
import type { AgentDevice, TransportRule } from '../transport-suite.ts'
import { within } from '../within.ts'
import { reach, serves } from './connecting.ts'
import { type PushStand, pushRules, withFault } from './push-stand.ts'
import { agentWords, announced, sendChunks } from './words.ts'

const rule = pushRules('agent')
const agentAt = (stand: PushStand): AgentDevice => stand.device as AgentDevice
const portOf = async (stand: PushStand): Promise<AgentPort> => (await reach(stand)).port as AgentPort

/** Largest chunk that a port may ask for, bytes: a driver holds it whole in memory. */
const chunkLimitBytes = 16 * 1024 * 1024

const declined = { fault: ['invalid', 'rejected', 'unavailable', 'unsupported'] } as const

/** Holds that what the device has of the image is its beginning. */
async function stagedOf(what: string, device: AgentDevice, image: Uint8Array): Promise<number> {
  const staged = await device.staged()
  expectBytes(`${what}: what the device has of the image`, staged, image.subarray(0, staged.length))
  return staged.length
}

/** What a port `agent` carries. */
export const agentPortRules: readonly TransportRule[] = [
  rule('chunks', 'carries chunks of any size up to its largest, each to its place', async (stand, { stepMs }) => {
    const device = agentAt(stand)
    const port = await portOf(stand)
    const { maxChunkBytes } = port
    ok(
      Number.isSafeInteger(maxChunkBytes) && maxChunkBytes > 0 && maxChunkBytes <= chunkLimitBytes,
      `maxChunkBytes: expected a whole number from 1 to ${chunkLimitBytes}, found ${maxChunkBytes}`,
    )
    for (const [way, image] of device.images.entries()) {
      // Odd sizes, unless that makes thousands of messages.
      const small = Math.max(Math.ceil(image.length / 64), Math.min(maxChunkBytes, way === 0 ? 7 : 13))
      const chunkBytes = Math.min(small, maxChunkBytes)
      strictEqual((await port.begin(announced(image), contextOf())).offset, 0, 'expected that the device has nothing of a new image')
      await within(2 * stepMs, 'chunks', sendChunks(port, image, contextOf(), { chunkBytes }))
      strictEqual(await stagedOf('after all chunks', device, image), image.length, 'expected that the device has the whole image')
    }
    await port.activate(contextOf())
    await agentWords.arrived('after chunks of odd sizes', device, 1)
  }),
  rule('acknowledged', 'says that a chunk is written when the device has it, and not before', async (stand) => {
    const device = agentAt(stand)
    const port = await portOf(stand)
    const image = device.images[0]
    await port.begin(announced(image), contextOf())
    for (let at = 0; at < image.length; ) {
      at = await sendChunks(port, image, contextOf(), { from: at, chunks: 1 })
      ok(
        (await stagedOf('after a write', device, image)) >= at,
        `expected that the device has ${at} bytes when write() has ended, found fewer`,
      )
    }
  }),
  rule('resumes', 'says how much the device has of exactly this image, and of another nothing', async (stand, { stepMs }) => {
    const device = agentAt(stand)
    const [image, other] = device.images
    const first = await reach(stand)
    const agent = first.port as AgentPort
    await agent.begin(announced(image), contextOf())
    await sendChunks(agent, image, contextOf(), { chunks: 2 })
    await first[Symbol.asyncDispose]()
    const second = await portOf(stand)
    const { offset } = await second.begin(announced(image), contextOf())
    const staged = await stagedOf('after a second begin', device, image)
    ok(offset <= staged, `offset: expected at most the ${staged} bytes that the device has, found ${offset}`)
    ok(offset > 0, 'offset: expected that two chunks are not lost with their connection, found 0')
    await sendChunks(second, image, contextOf(), { from: offset, chunks: 1 })
    const { offset: ofOther } = await second.begin(announced(other), contextOf())
    strictEqual(ofOther, 0, `offset: expected 0 of an image that the device has nothing of, found ${ofOther}`)
    await within(stepMs, 'the other image', agentWords.exchange(second, device, contextOf(), 1))
    await agentWords.arrived('after a begin of another image', device, 1)
  }),
  rule('missing', 'names what is missing, and nothing else', async (stand, { skip }) => {
    const device = agentAt(stand)
    const port = await portOf(stand)
    if (port.missing === undefined) return skip('the port has no missing()')
    const image = device.images[0]
    await port.begin(announced(image), contextOf())
    for (const chunks of [0, 1, Number.POSITIVE_INFINITY]) {
      const { offset } = await port.begin(announced(image), contextOf())
      await sendChunks(port, image, contextOf(), { from: offset, chunks })
      const staged = await stagedOf('before missing()', device, image)
      let at = staged
      for await (const gap of port.missing(contextOf())) {
        strictEqual(gap.offset, at, `missing(): expected a gap at ${at}, found one at ${gap.offset}`)
        at += gap.length
      }
      strictEqual(at, image.length, `missing(): expected gaps from ${staged} to ${image.length}, found that they end at ${at}`)
    }
  }),
  rule('misplaced', 'refuses chunks that have no place, and carries the image all the same', async (stand, { stepMs }) => {
    const device = agentAt(stand)
    const port = await portOf(stand)
    const image = device.images[0]
    const chunk = image.subarray(0, Math.min(port.maxChunkBytes, image.length >> 2))
    await within(
      stepMs,
      'before begin()',
      refused('a write before begin()', declined, () => port.write(0, chunk, contextOf())),
    )
    await port.begin(announced(image), contextOf())
    const wrong = {
      'behind the end': () => port.write(image.length, chunk, contextOf()),
      'across the end': () => port.write(image.length - 1, chunk.subarray(0, 2), contextOf()),
      'at a negative offset': () => port.write(-1, chunk, contextOf()),
      'at half a byte': () => port.write(0.5, chunk, contextOf()),
      'at no number': () => port.write(Number.NaN, chunk, contextOf()),
      'that is too large': () => port.write(0, new Uint8Array(port.maxChunkBytes + 1), contextOf()),
    }
    for (const [name, call] of Object.entries(wrong)) await within(stepMs, name, refused(`a chunk ${name}`, declined, call))
    // Out of order: an agent may keep it for later, or refuse it.
    await survives('a chunk that is not the next', declined, () =>
      port.write(chunk.length, image.subarray(chunk.length, 2 * chunk.length), contextOf()),
    )
    await stagedOf('after chunks without a place', device, image)
    await serves('after chunks without a place', stand, stepMs)
  }),
  rule('incomplete', 'passes on that the device refuses to activate what is not whole, or is another image', async (stand, { stepMs }) => {
    const device = agentAt(stand)
    const port = await portOf(stand)
    const [image, other] = device.images
    const before = await device.runs()
    const activate = (what: string) =>
      within(
        stepMs,
        what,
        refused(what, declined, () => port.activate(contextOf())),
      )
    await activate('activate() before begin()')
    await port.begin(announced(image), contextOf())
    await sendChunks(port, image, contextOf(), { chunks: 1 })
    await activate('activate() of a part')
    await port.begin({ digest: announced(image).digest, size: other.length }, contextOf())
    await survives('other bytes', declined, () => sendChunks(port, other, contextOf()))
    await activate('activate() of other bytes')
    const after = await device.runs()
    ok(
      before === undefined ? after === undefined : after !== undefined && sameBytes(after, before),
      'expected that the device keeps what it ran',
    )
    await serves('after them', stand, stepMs)
  }),
  rule(
    'lost-answer',
    'shows that an image was activated where the word of it was lost',
    withFault('mute', async (stand, { stepMs }) => {
      const device = agentAt(stand)
      const image = device.images[0]
      const first = await reach(stand)
      const port = first.port as AgentPort
      await port.begin(announced(image), contextOf())
      await sendChunks(port, image, contextOf())
      await device.wire.spoil('mute')
      const what = 'activate() whose answer is lost'
      await within(
        stepMs,
        what,
        refused(what, { fault: 'unavailable' }, () => port.activate(contextOf())),
      )
      await device.wire.mend()
      await first[Symbol.asyncDispose]()
      await agentWords.arrived(what, device)
      const { installed } = await (await portOf(stand)).status(contextOf())
      strictEqual(installed?.digest, announced(image).digest, 'status(): expected the image that was activated')
    }),
  ),
]
