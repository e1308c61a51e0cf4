import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { styleText } from 'node:util'
import type { CheckInAnswer, OtaEvent, Reason, Stage } from '@reflash/core'
import { generateKeyPair, ociRegistry, openKey, type PushedArtifact } from '@reflash/registry-oci'
import { demoImage, openVirtualEsp32 } from '@reflash/target-esp32/testing'
import { fail } from '../cli-errors.ts'
import { type Happenings, happenings } from './awaited.ts'
import { type DemoDevice, type DeviceLine, demoDevice, ownCommand } from './demo-device.ts'
import { type DemoReleases, demoProduct, demoReleases, imageOf } from './demo-releases.ts'
import { type DemoServer, demoServer } from './demo-server.ts'

export interface DemoOptions {
  readonly listen: string
  /** Ends after the last step; else the demo stays up until the signal. */
  readonly once: boolean
  readonly signal: AbortSignal
  readonly now: () => Date
  /** Prints a line. */
  readonly say: (line: string) => void
}

type Happening = { readonly event: OtaEvent } | { readonly answer: CheckInAnswer } | { readonly device: DeviceLine }

/** The rooms, in their order. */
const rooms: readonly Stage[] = ['resolve', 'verify', 'fetch', 'inspect', 'admit', 'plan', 'deliver', 'install', 'confirm']
const chip = 'esp32s3'

/**
 * Plays the whole journey of a release on this machine: real files, real keys, real HTTP, the device as a process of its own. Whatever was
 * started is ended and the folder is removed, however it ends.
 * @throws `DEMO_FAILED` where a step does not do what it should
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'reflash-demo-'))
  const ends: (() => PromiseLike<void>)[] = [() => rm(folder, { recursive: true, force: true })]
  try {
    await play(folder, options, (part) => ends.unshift(() => part[Symbol.asyncDispose]()))
  } finally {
    for (const end of ends) await end()
  }
}

async function play(folder: string, options: DemoOptions, owns: (part: AsyncDisposable) => void): Promise<void> {
  options.say(styleText('bold', 'A signed release, from an OCI registry to a confirmed ESP32'))
  options.say(`everything lies in ${folder}\n`)
  const seen = happenings<Happening>(options.signal)
  const { releases, publicKeyPem, registry } = await prepare(folder, options)
  const first = await releases.push('1.0.0', { chip, sign: true })
  const second = await releases.push('1.1.0', { chip, sign: true })
  step(options, 'push', `1.0.0 and 1.1.0 for ${chip} into ${releases.repository}, an OCI image layout`)
  step(options, 'sign', `both, by their digests: ${first.root.digest.slice(0, 19)}…, ${second.root.digest.slice(0, 19)}…`)

  const tokens = { d1: randomBytes(16).toString('hex'), d2: randomBytes(16).toString('hex') }
  for (const [id, token] of Object.entries(tokens)) await writeFile(join(folder, `${id}.token`), token, { mode: 0o600 })
  const server = await demoServer({
    folder: join(folder, 'server'),
    repository: releases.repository,
    registry,
    publicKeyPem,
    tokens,
    listen: options.listen,
    onEvent: (event) => seen.happened({ event }),
    onAnswer: (answer) => seen.happened({ answer }),
  })
  owns(server)
  step(options, 'serve', `${server.url}, the product ${demoProduct} only`)
  for (const open of server.opens) options.say(`             open: ${open}`)

  const journey = watchJourney(seen, options)
  journey.catch(() => {})
  owns(startDevice(folder, server, seen, options))
  await journey
  const installed = { version: '1.1.0', digest: imageOf(second.images).digest }
  expectRuns(await seen.next('the device to say what it runs', isOutcome), installed)
  options.say(styleText(['bold', 'green'], '\nconfirmed 1.1.0\n'))

  await attacks(releases, first, seen, options)
  expectRuns(await seen.next('the device to say what it runs', isOutcome), installed)
  options.say('\nThe device still runs 1.1.0.')
  if (!options.once) await stayUp(server, folder, options)
}

const isOutcome = (happening: Happening): boolean => 'device' in happening && happening.device.event === 'outcome'

async function prepare(folder: string, options: DemoOptions) {
  const { signal, now } = options
  step(options, 'build', `two versions of an ${chip} image: header, segments, checksum, hash`)
  const password = randomBytes(16).toString('hex')
  const { privateKeyPem, publicKeyPem } = await generateKeyPair(password, { signal })
  await writeFile(join(folder, 'cosign.key'), privateKeyPem, { mode: 0o600 })
  await writeFile(join(folder, 'cosign.pub'), publicKeyPem)
  step(options, 'keygen', 'cosign.key (encrypted) and cosign.pub')
  const key = await openKey(privateKeyPem, password, { signal })
  const registry = ociRegistry()
  return { publicKeyPem, registry, releases: demoReleases({ registry, layout: join(folder, 'releases'), key, signal, now }) }
}

function startDevice(folder: string, server: DemoServer, seen: Happenings<Happening>, options: DemoOptions): DemoDevice {
  const state = join(folder, 'd1')
  // As a factory does it, over a cable.
  const factory = openVirtualEsp32(state, { chip, id: 'd1' })
  factory.provision(demoImage({ chip, version: '1.0.0', projectName: demoProduct }))
  factory.close()
  const args = ['--server', server.url, '--id', 'd1', '--chip', chip, '--state', state, '--token-file', join(folder, 'd1.token')]
  const device = demoDevice([...args, '--poll-ms', '250'], (line) => seen.happened({ device: line }))
  void device.ended.then((how) => seen.fail(fail('DEMO_FAILED', how)))
  step(options, 'device', `d1, a virtual ${chip} which runs 1.0.0, as process ${device.pid}\n`)
  return device
}

/** Shows each room when it is passed for the first time, and resolves when all are, in order. */
async function watchJourney(seen: Happenings<Happening>, options: DemoOptions): Promise<void> {
  const roomOf = (happening: Happening): Stage | undefined => {
    if (!('event' in happening)) return undefined
    const { event } = happening
    return (event.type === 'release' || event.type === 'device') && event.status === 'passed' ? event.stage : undefined
  }
  const spoils = (happening: Happening): string | undefined => {
    if (!('event' in happening)) return undefined
    const { event } = happening
    if ((event.type !== 'release' && event.type !== 'device') || event.status !== 'failed') return undefined
    return `room ${event.stage} failing: ${event.because.map(({ code, message }) => `${code}: ${message}`).join('; ')}`
  }
  const passed = new Set<Stage>()
  await seen.next(
    'every room to be passed',
    (happening) => {
      const room = roomOf(happening)
      if (room === undefined || passed.has(room)) return false
      passed.add(room)
      options.say(`  ${styleText('green', 'passed')}  ${room.padEnd(8)} ${meanings[room] ?? ''}`)
      return room === 'confirm'
    },
    spoils,
  )
  if ([...passed].join() !== rooms.join())
    throw fail('DEMO_FAILED', `expected the rooms ${rooms.join(', ')}; found ${[...passed].join(', ')}`)
}

const meanings: Readonly<Partial<Record<Stage, string>>> = {
  resolve: 'the tag, the manifest and the image are pinned by digest',
  verify: 'the signature covers version, product and platform',
  fetch: 'the image is at rest, whole and checked',
  inspect: 'it is an image that an ESP32 can run',
  admit: 'the device is who it says',
  plan: 'newer, the right chip, fits into the slot',
  deliver: 'the device has it, read back from flash',
  install: 'the device boots it next',
  confirm: 'the device runs it and keeps it',
}

interface Attack {
  readonly what: string
  readonly code: string
  make(): Promise<void>
}

/** Releases that must not reach a device, each under a higher tag than the one before, so that it is looked at first. */
async function attacks(releases: DemoReleases, old: PushedArtifact, seen: Happenings<Happening>, options: DemoOptions): Promise<void> {
  options.say(styleText('bold', 'What must not reach a device:'))
  const all: readonly Attack[] = [
    {
      what: '1.2.0, signed, then changed by one byte',
      code: 'DIGEST_MISMATCH',
      make: async () => {
        // Under a tag that is no version until the image is changed: a server may be faster than the attacker.
        const pushed = await releases.push('1.2.0', { chip, sign: true, tag: 'not-yet' })
        await releases.tamper(pushed)
        await releases.retag(pushed, '1.2.0')
      },
    },
    {
      what: '1.3.0, which nobody signed',
      code: 'SIGNATURE_NOT_FOUND',
      make: async () => void (await releases.push('1.3.0', { chip, sign: false })),
    },
    {
      what: '1.4.0, signed, for an esp32c3',
      code: 'WRONG_CHIP',
      make: async () => void (await releases.push('1.4.0', { chip: 'esp32c3', sign: true })),
    },
    { what: '9.9.9, which is the signed 1.0.0 under another tag', code: 'VERSION_MISMATCH', make: () => releases.retag(old, '9.9.9') },
  ]
  for (const { what, code, make } of all) {
    const refused = seen.next(
      `${what} to be refused with ${code}`,
      (happening) => 'answer' in happening && reasonFor(happening.answer, code) !== undefined,
      (happening) =>
        'answer' in happening && happening.answer.offer !== undefined ? `${happening.answer.offer.version} offered` : undefined,
    )
    refused.catch(() => {})
    await make()
    const { message } = reasonFor((await (refused as Promise<{ answer: CheckInAnswer }>)).answer, code) as Reason
    options.say(`  ${styleText('red', 'refused')}  ${what}\n           ${styleText('bold', code)}: ${message}`)
  }
}

function reasonFor({ because }: CheckInAnswer, code: string): Reason | undefined {
  return because.find((reason) => reason.code.split('/').at(-1) === code)
}

function expectRuns(happening: Happening, expected: { readonly version: string; readonly digest: string }): void {
  const found = ('device' in happening ? happening.device.installed : undefined) as Partial<typeof expected> | undefined
  if (found?.version === expected.version && found.digest === expected.digest) return
  const shown = ({ version, digest }: Partial<typeof expected>): string => `${version ?? 'nothing'} (${digest ?? 'no digest'})`
  throw fail('DEMO_FAILED', `expected the device to run ${shown(expected)}, found ${shown(found ?? {})}`)
}

async function stayUp(server: DemoServer, folder: string, { say, signal }: DemoOptions): Promise<void> {
  const { url } = server
  const bearer = (id: string) => `-H "Authorization: Bearer $(cat ${join(folder, `${id}.token`)})"`
  const self = ownCommand.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word}'`)).join(' ')
  say(`
The server stays up, and d1 goes on checking in. Try, in another terminal:

  curl -s ${url}/health
  curl -s ${bearer('d2')} -H 'Content-Type: application/json' -d '{"model":"${chip}"}' ${url}/v1/devices/d2/check-in
  curl -s ${bearer('d2')} -r 0-15 ${url}/v1/devices/d2/offers/1/images/image | od -A d -t x1
  ${self} device --server ${url} --id d2 --chip ${chip} --state ${join(folder, 'd2')} --token-file ${join(folder, 'd2.token')} --once

Ctrl-C ends it and removes the folder.`)
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

function step({ say }: DemoOptions, name: string, what: string): void {
  say(`  ${styleText('cyan', name.padEnd(9))}  ${what}`)
}
