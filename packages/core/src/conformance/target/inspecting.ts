import { deepStrictEqual, notDeepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { ByteStream } from '../../content/byte-stream.ts'
import type { Json } from '../../content/json.ts'
import { formatPlatform, parsePlatform } from '../../content/platform.ts'
import type { ByteRange } from '../../plugin/cache.ts'
import { contextOf, damaged, sampleBytes } from '../content.ts'
import { refused, refusesFired, survives } from '../refusal.ts'
import { brokenSource, type Source, slowSource, watchedSource } from '../sources.ts'
import type { TargetInstance, TargetRule } from '../target-suite.ts'
import { within } from '../within.ts'
import { heldImage } from './held-image.ts'
import { inspected, refusal, rule, stored } from './target-rule.ts'

const hexDigits: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 }
const measuring = { what: 'measure()', has: ({ plugin }: TargetInstance) => plugin.measure !== undefined }

/** What no image format can be surprised by. */
function strangeImages(good: Uint8Array): readonly Uint8Array[] {
  const cuts = Array.from({ length: 24 }, (_, index) => good.subarray(0, Math.floor((good.length * index) / 24)))
  const heads = Array.from({ length: 48 }, (_, index) => {
    const copy = good.slice()
    const at = (index * 7) % Math.min(good.length, 512)
    copy[at] = [0x00, 0xff, 0x80, (copy[at] as number) ^ 1][index % 4] as number
    return copy
  })
  const plain = [0, 1, 15, 16, 4_096].flatMap((size) => [
    new Uint8Array(size),
    new Uint8Array(size).fill(0xff),
    sampleBytes(size, size + 1),
  ])
  return [...plain, ...cuts, ...heads, ...damaged(good).map(({ bytes }) => bytes)]
}

/** Which devices are meant, and what an image says of itself. */
export const inspectRules: readonly TargetRule[] = [
  rule('supports', 'says what its devices can do, in facts that nobody can change', async ({ plugin: { supports, drive } }) => {
    ok(Object.isFrozen(supports), 'supports: expected a frozen object')
    ok(supports.slots === 1 || supports.slots === 2, `supports.slots: expected 1 or 2, found ${String(supports.slots)}`)
    for (const name of ['rollback', 'resume'] as const)
      strictEqual(typeof supports[name], 'boolean', `supports.${name}: expected true or false`)
    if (drive === undefined) return
    ok(Object.isFrozen(drive), 'drive: expected a frozen object')
    for (const [port, driver] of Object.entries(drive)) {
      ok(Object.isFrozen(driver), `drive.${port}: expected a frozen object`)
      for (const name of ['probe', 'deliver', 'install', 'confirm'] as const) {
        strictEqual(typeof driver?.[name], 'function', `drive.${port}.${name}: expected a function`)
      }
    }
  }),
  rule(
    'matches',
    'knows its own devices, lets those pass that do not say their model, and no others',
    async ({ plugin, device, foreign }) => {
      strictEqual(plugin.matches(device), true, 'a device of its own')
      strictEqual(plugin.matches({ id: device.id }), true, 'a device that does not say its model')
      strictEqual(plugin.matches(foreign), false, 'a device of another kind')
    },
  ),
  rule('platforms', 'names platforms for its own devices, and none where the model is unknown', async ({ plugin, device }) => {
    const found = plugin.platforms(device)
    ok(Array.isArray(found) && found.length > 0, 'expected at least one platform')
    for (const platform of found)
      deepStrictEqual({ ...platform }, { ...parsePlatform(formatPlatform(platform)) }, 'expected os/architecture')
    strictEqual(new Set(found.map(formatPlatform)).size, found.length, 'expected each platform once')
    deepStrictEqual(plugin.platforms({ id: device.id }), [], 'a device that does not say its model')
  }),
  rule('inspect-good', 'says of a good image what it says of itself, in facts that JSON can carry', async ({ plugin, images }) => {
    for (const bytes of [images.good, images.old]) {
      const info = await inspected(plugin, bytes)
      strictEqual(info.size, bytes.length, `size: expected ${bytes.length}, found ${info.size}`)
      ok(info.facts !== undefined, 'facts: expected JSON, found none')
      deepStrictEqual(stored(info.facts as Json), info.facts, 'facts: expected what JSON can carry unchanged')
      for (const name of ['model', 'version'] as const)
        ok(info[name] === undefined || typeof info[name] === 'string', `${name}: expected a text`)
      const { securityVersion } = info
      ok(
        securityVersion === undefined || (Number.isSafeInteger(securityVersion) && securityVersion >= 0),
        'securityVersion: expected a counter',
      )
      deepStrictEqual(await inspected(plugin, bytes), info, 'expected the same at each look')
    }
  }),
  rule('inspect-chunks', 'reads an image however it is cut into chunks', async ({ plugin, images }) => {
    const whole = await inspected(plugin, images.good)
    for (const chunkBytes of [1, 7, 1_021, images.good.length]) {
      deepStrictEqual(await plugin.inspect(heldImage(images.good, { chunkBytes }), contextOf()), whole, `chunks of ${chunkBytes} bytes`)
    }
  }),
  rule('inspect-slow', 'waits for an image that comes a little at a time, and at times nothing', async ({ plugin, images }, { stepMs }) => {
    const whole = await inspected(plugin, images.good)
    const chunkBytes = Math.ceil(images.good.length / 50)
    const read = ({ offset = 0, length }: Partial<ByteRange> = {}): ByteStream =>
      slowSource(images.good.subarray(offset, length === undefined ? undefined : offset + length), chunkBytes).open()
    deepStrictEqual(await within(stepMs, 'inspect', plugin.inspect(heldImage(images.good, { read }), contextOf())), whole)
  }),
  rule('inspect-bad', 'refuses what it cannot run, with a reason for each problem', async ({ plugin, images }) => {
    ok(images.bad.length > 0, 'images.bad: expected at least one image that must be refused')
    for (const { name, bytes } of [...images.bad, { name: 'nothing', bytes: new Uint8Array(0) }]) {
      const error = await refused(name, refusal, () => inspected(plugin, bytes))
      ok(error.because.length > 0 && error.because.every(({ code, message }) => code !== '' && message !== ''), `${name}: expected reasons`)
    }
  }),
  rule('inspect-strange', 'survives whatever is shown to it as an image', async ({ plugin, images }, { stepMs }) => {
    for (const bytes of strangeImages(images.good)) {
      await within(
        stepMs,
        `inspect of ${bytes.length} bytes`,
        survives('inspect', refusal, () => inspected(plugin, bytes)),
      )
    }
    await inspected(plugin, images.good)
  }),
  rule('inspect-broken', 'fails with the error of an image that cannot be read', async ({ plugin, images }) => {
    const failure = new Error('the disk does not answer')
    const read = () => brokenSource(images.good.subarray(0, 10), failure).open()
    const outcome: unknown = await plugin.inspect(heldImage(images.good, { read }), contextOf()).catch((error: unknown) => error)
    strictEqual(outcome, failure)
  }),
  rule('inspect-abort', 'reads nothing for a caller who has left, and not on when he leaves', async ({ plugin, images }, { stepMs }) => {
    await refusesFired('inspect', (signal) => plugin.inspect(heldImage(images.good), contextOf(signal)))
    const controller = new AbortController()
    let given = 0
    const read = async function* () {
      for (let at = 0; at < images.good.length; at += 1) {
        given += 1
        if (given === 2) controller.abort()
        yield images.good.subarray(at, at + 1)
      }
    }
    const call = survives('inspect', { fault: 'aborted' }, () =>
      plugin.inspect(heldImage(images.good, { read }), contextOf(controller.signal)),
    )
    await within(stepMs, 'inspect whose caller has left', call)
    ok(
      given < images.good.length / 2,
      `expected that reading ends when the caller leaves, found ${given} of ${images.good.length} chunks read`,
    )
  }),
  rule('inspect-closes', 'closes every stream that it does not read to its end', async ({ plugin, images }) => {
    for (const bytes of [images.good, ...images.bad.map((one) => one.bytes)]) {
      const sources: Source[] = []
      const read = (_range: ByteRange | undefined, honest: ByteStream): ByteStream => {
        const source = watchedSource(honest)
        sources.push(source)
        return source.open()
      }
      await survives('inspect', refusal, () => plugin.inspect(heldImage(bytes, { read, chunkBytes: 16 }), contextOf()))
      ok(
        sources.every(({ opened, ended }) => opened === ended),
        `expected every stream to be closed, found one of ${bytes.length} bytes left open`,
      )
    }
  }),
  rule(
    'measure',
    'says what a device that runs an image will prove: the same at each look, another thing for another image',
    async ({ plugin, images }) => {
      const measure = plugin.measure as NonNullable<typeof plugin.measure>
      const found = await measure(heldImage(images.good), contextOf())
      ok(found.length > 0, 'expected at least one measurement')
      for (const { environment, digests, svn } of found) {
        ok(Object.keys(environment).length > 0, 'environment: expected what it is a measurement of')
        ok(digests.length > 0, 'digests: expected at least one')
        for (const { hashAlg, digest } of digests) {
          ok(
            new RegExp(`^[0-9a-f]{${hexDigits[hashAlg] ?? 1}}$`).test(digest),
            `${hashAlg}: expected lower case hex of its length, found ${digest}`,
          )
        }
        ok(svn === undefined || Number.isSafeInteger(svn), 'svn: expected a counter')
      }
      deepStrictEqual(await measure(heldImage(images.good, { chunkBytes: 7 }), contextOf()), found, 'expected the same at each look')
      notDeepStrictEqual(await measure(heldImage(images.old), contextOf()), found, 'expected another measurement of another image')
      await refusesFired('measure', (signal) => measure(heldImage(images.good), contextOf(signal)))
    },
    measuring,
  ),
]
