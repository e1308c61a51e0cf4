import { ok, strictEqual } from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { concat } from '../../content/byte-stream.ts'
import { fail } from '../../core-errors.ts'
import type { Body } from '../../plugin/cache.ts'
import { expectBytes, gather, sameBytes, sampleBytes } from '../content.ts'
import { brokenSource, plainSource, type Source, slowSource, stalledSource } from '../sources.ts'
import type { PullOffer, TransportRule } from '../transport-suite.ts'
import { nextTurn, until, within } from '../within.ts'
import { carrying, type ServeStand, serveRule } from './serve-stand.ts'

/** Too large for the buffers of a kernel: who holds it whole in memory is seen. */
const largeBytes = 48 * 1024 * 1024
/** What a server may have read of an image ahead of a reader who does not read: both kernels' buffers, and some of its own. */
const aheadLimitBytes = 24 * 1024 * 1024

async function offered(stand: ServeStand) {
  const client = await stand.client()
  const { offer } = await within(stand.stepMs, 'a check-in', client.checkIn())
  ok(offer !== undefined, 'expected an offer, found none')
  return { client, offer }
}

/** Serves an image in a form, and holds that a client gets it. */
async function carries(what: string, stand: ServeStand, bytes: Uint8Array, body?: (offset: number, length: number) => Body): Promise<void> {
  stand.gateway.image = () => ({ bytes, ...(body === undefined ? {} : { body }) })
  const { client, offer } = await offered(stand)
  expectBytes(what, await within(stand.stepMs, what, gather(what, client.image(offer))), bytes)
  await client.close()
}

/** Reads so much of an image. */
async function readSome(stand: ServeStand, bytes: number): Promise<{ readonly leave: () => Promise<void> }> {
  const { client, offer } = await offered(stand)
  const stream = client.image(offer)[Symbol.asyncIterator]()
  let read = 0
  while (read < bytes) {
    const step = await within(stand.stepMs, 'a part of an image', stream.next())
    ok(step.done !== true, `expected more than ${read} bytes of an image, found its end`)
    read += step.value.length
  }
  return { leave: () => client.close() }
}

/** What a client makes of an image whose source fails: an error, or fewer bytes than it was told; never the whole. */
async function expectNotWhole(what: string, stand: ServeStand, offer: PullOffer, image: AsyncIterable<Uint8Array>): Promise<void> {
  const found = await within(
    stand.stepMs,
    what,
    gather(what, image).catch(() => undefined),
  )
  ok(
    found === undefined || found.length !== offer.size,
    `${what}: expected an error, or fewer bytes, found ${found?.length} bytes as if whole`,
  )
}

/** Images on their way to devices. */
export const imageRules: readonly TransportRule[] = [
  serveRule('image', 'carries an image of any size, to the device that was offered it', async (stand) => {
    for (const size of [16, 1000, 65_536, 300_001]) await carries(`an image of ${size} bytes`, stand, sampleBytes(size, size))
    const reads = stand.taken().filter(({ name }) => name === 'read')
    ok(reads.length >= 4, `expected a read of each image, found ${reads.length}`)
    for (const { who, args } of reads) {
      strictEqual(who.deviceId, stand.devices[0].id)
      ok(args[0] === 7 || args[0] === 'current', `expected a read of offer 7 or of the current one, found ${String(args[0])}`)
    }
  }),
  serveRule('image-forms', 'carries an image from memory, from a file and from a stream, in chunks of any size', async (stand) => {
    const bytes = sampleBytes(70_001, 5)
    const folder = await mkdtemp(join(tmpdir(), 'conformance-'))
    try {
      const path = join(folder, 'image')
      // Behind other bytes, because a range of a file need not begin at its beginning.
      await writeFile(path, concat([new Uint8Array(10).fill(1), bytes, new Uint8Array(10).fill(2)]))
      await carries('an image from a file', stand, bytes, (offset, length) => ({ path, offset: offset + 10, length }))
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
    await carries('an image from a stream', stand, bytes, (offset, length) => plainSource(bytes.subarray(offset, offset + length)).open())
    await carries('an image in small and empty chunks', stand, bytes.subarray(0, 5000), (offset, length) =>
      slowSource(bytes.subarray(offset, Math.min(5000, offset + length)), 301).open(),
    )
  }),
  serveRule(
    'image-from',
    'carries an image from a byte on, as after a download that was cut',
    async (stand) => {
      const bytes = sampleBytes(40_000, 6)
      const forms = {
        memory: undefined,
        stream: (offset: number, length: number) => plainSource(bytes.subarray(offset, offset + length)).open(),
      }
      for (const [form, body] of Object.entries(forms)) {
        stand.gateway.image = () => ({ bytes, ...(body === undefined ? {} : { body }) })
        const { client, offer } = await offered(stand)
        for (const offset of [0, 1, 4095, 20_000, bytes.length - 1]) {
          const what = `an image (${form}) from byte ${offset} on`
          expectBytes(what, await within(stand.stepMs, what, gather(what, client.image(offer, { offset }))), bytes.subarray(offset))
        }
      }
    },
    carrying('offset'),
  ),
  serveRule('image-fails', 'gives no part of an image out as the whole where its source fails, and ends the source', async (stand) => {
    const bytes = sampleBytes(200_000, 7)
    const half = bytes.subarray(0, bytes.length >> 1)
    const sources: Readonly<Record<string, () => Source>> = {
      'that breaks': () => brokenSource(half, fail('CACHE_UNAVAILABLE', 'the suite breaks it')),
      'that is too short': () => plainSource(half),
      'that throws what is no OtaError': () => brokenSource(half, new TypeError('the suite breaks it')),
    }
    for (const [name, make] of Object.entries(sources)) {
      const opened: Source[] = []
      const body = (): Body => {
        const source = make()
        opened.push(source)
        return source.open()
      }
      stand.gateway.image = () => ({ bytes, body })
      const { client, offer } = await offered(stand)
      await expectNotWhole(`an image from a source ${name}`, stand, offer, client.image(offer))
      await until(stand.stepMs, `the end of a source ${name}`, () => opened.every((source) => source.ended >= source.opened))
      await client.close()
    }
    stand.gateway.image = () => ({ bytes })
    await stand.honest('after sources that fail')
  }),
  serveRule('image-too-long', 'gives out no more bytes than it has told', async (stand) => {
    const bytes = sampleBytes(20_000, 8)
    const more = concat([bytes, new Uint8Array(5000).fill(9)])
    stand.gateway.image = () => ({ bytes, body: (offset) => plainSource(more.subarray(offset)).open() })
    const { client, offer } = await offered(stand)
    const what = 'an image from a source that is too long'
    const found = await within(
      stand.stepMs,
      what,
      gather(what, client.image(offer)).catch(() => new Uint8Array()),
    )
    ok(found.length <= bytes.length && sameBytes(found, bytes.subarray(0, found.length)), `${what}: expected at most ${bytes.length} bytes`)
    await client.close()
    stand.gateway.image = () => ({ bytes })
    await stand.honest('after it')
  }),
  serveRule(
    'image-left',
    'ends the source of an image whose reader leaves in its middle, and serves on',
    async (stand) => {
      const bytes = sampleBytes(1_000_000, 10)
      const opened: Source[] = []
      const body = (): Body => {
        const source = stalledSource(bytes.subarray(0, 300_000))
        opened.push(source)
        return source.open()
      }
      stand.gateway.image = () => ({ bytes, body })
      const { leave } = await readSome(stand, 1000)
      await leave()
      await until(stand.stepMs, 'the end of the source', () => opened.every((source) => source.ended >= source.opened))
      strictEqual(stand.taken().filter(({ name }) => name === 'sent').length, 0, 'expected that a part is not told as sent')
      stand.gateway.image = () => ({ bytes: bytes.subarray(0, 5000) })
      await stand.honest('after a reader who has left')
    },
    carrying('hang-up'),
  ),
  serveRule('image-stalled', 'reads no image ahead of a client that does not read it', async (stand) => {
    const chunk = sampleBytes(65_536, 12)
    let given = 0
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < largeBytes; at += chunk.length) {
        given += chunk.length
        await nextTurn()
        yield chunk
      }
    }
    stand.gateway.image = () => ({ bytes: chunk, size: largeBytes, body: chunks })
    const { leave } = await readSome(stand, 1)
    for (let before = -1; before !== given; ) {
      before = given
      await nextTurn(300)
    }
    ok(
      given <= aheadLimitBytes,
      `expected at most ${aheadLimitBytes} bytes of ${largeBytes} read ahead of a client that stalls, found ${given}`,
    )
    stand.gateway.image = () => ({ bytes: chunk })
    await stand.honest('beside a client that stalls', stand.devices[1])
    await leave()
  }),
  serveRule('sent', 'says once that a whole image was sent, where its dialect has no reports', async (stand) => {
    if (stand.carries('reports')) {
      await stand.honest('a download')
      strictEqual(stand.taken().filter(({ name }) => name === 'sent').length, 0, 'expected no sent() of a device that reports')
      return
    }
    await stand.honest('a download')
    await until(stand.stepMs, 'sent()', () => stand.gateway.calls.some(({ name }) => name === 'sent'))
    await nextTurn(3)
    const sent = stand.taken().filter(({ name }) => name === 'sent')
    strictEqual(sent.length, 1, `expected one sent(), found ${sent.length}`)
    strictEqual(sent[0]?.who.deviceId, stand.devices[0].id)
  }),
]
