import { join } from 'node:path'
import {
  anonymousDevices,
  type Composition,
  type Connection,
  createEngine,
  createGateway,
  diskCache,
  type Fault,
  isOtaError,
  OtaError,
  type Ports,
  type ReflashOptions,
  type Serving,
  type Transport,
  unattestedDevices,
  unsignedArtifacts,
} from '@reflash/core'
import { memoryTarget } from '@reflash/core/testing'
import { cosignVerifier, ociRegistry } from '@reflash/registry-oci'
import { sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'
import { httpTransport } from '@reflash/transport-http'
import { faultPoints } from '../support/fault-points.ts'
import { honestVerifier } from '../support/honest-evidence.ts'
import type { Answered, Command, Failure, Said, Setup } from '../support/messages.ts'

// A server of reflash in a process of its own, which dies at the write that it is told. One composition at a time; its parent holds the devices.

const points = faultPoints()
const say = (said: Said): void => void process.send?.(said)
let clockOffsetMs = 0
const clock = (): Date => new Date(Date.now() + clockOffsetMs)
let running:
  | { readonly composition: Composition; readonly options: ReflashOptions; readonly port: keyof Ports; readonly serving?: Serving }
  | undefined

function optionsOf({ folder, repository, target, attestation, key, listens }: Setup): ReflashOptions {
  return {
    repository,
    registry: ociRegistry(),
    verifiers: [key === undefined ? unsignedArtifacts() : cosignVerifier({ keys: [{ name: 'cosign.pub', pem: key }] })],
    targets: [target === 'memory' ? memoryTarget() : esp32Target()],
    authenticators: [anonymousDevices()],
    attestation: [attestation === 'none' ? unattestedDevices() : honestVerifier],
    journal: points.journal(sqlStore({ file: join(folder, 'journal.db'), now: clock })),
    cache: diskCache({ directory: join(folder, 'cache') }),
    // One attempt: a device whose image fails would be offered it again until its chances are used up.
    // Boards that are pushed to restart at once: that the old image answers so long after means that they went back.
    policy: { attestation, confirmWithinMs: 5_000, attempts: 1, ...(listens ? {} : { bootGraceMs: 200 }) },
    clock,
  }
}

async function open(setup: Setup): Promise<{ readonly url?: string }> {
  await close()
  if (setup.asNobody === true && process.geteuid?.() === 0) process.seteuid?.(65_534)
  clockOffsetMs = setup.clockOffsetMs ?? 0
  points.arm(setup.fault, join(setup.folder, 'cache'))
  const options = optionsOf(setup)
  const { port = 'agent' } = setup
  const gateway = createGateway(options)
  const { composition } = gateway
  if (!setup.listens) {
    running = { composition, options, port }
    return {}
  }
  const serving = await httpTransport({ listen: '127.0.0.1:0' }).serve({ gateway, authenticators: options.authenticators })
  running = { composition, options, port, serving }
  return { url: serving.addresses[0] as string }
}

async function close(): Promise<void> {
  const ending = running
  running = undefined
  points.arm(undefined, '')
  await ending?.serving?.[Symbol.asyncDispose]()
  await ending?.composition.close()
}

const calls = new Map<number, (answer: Answered) => void>()
let lastCall = 0

/** One word over the line to the device, which the parent holds. */
async function overTheLine(method: string, args: readonly unknown[]): Promise<never> {
  lastCall += 1
  const n = lastCall
  const answer = await new Promise<Answered>((resolve) => {
    calls.set(n, resolve)
    say({ is: 'call', n, method, args })
  })
  calls.delete(n)
  const { failure } = answer
  if (failure !== undefined) throw new OtaError(failure.code, failure.fault as Fault, failure.message, { because: failure.because })
  return answer.value as never
}

/** The way to the device, by either port. */
function line(uses: keyof Ports): Transport {
  const connect = async ({ id }: { readonly id: string }): Promise<Connection<keyof Ports>> => ({
    port: portOf(uses, id),
    principal: { deviceId: id, by: 'gateway' },
    ...(uses === 'agent' ? { evidence: (challenge: Uint8Array) => overTheLine('evidence', [challenge]) } : {}),
    async [Symbol.asyncDispose]() {},
  })
  return { kind: 'transport', name: `line-${uses}`, spec: 0, uses, connect } as Transport
}

function portOf(uses: keyof Ports, deviceId: string): Ports[keyof Ports] {
  const names = uses === 'flash' ? ['read', 'erase', 'write', 'reset'] : ['begin', 'write', 'activate', 'status', 'rollback']
  // The context of each call ends here: it holds a signal, and functions.
  const methods = Object.fromEntries(names.map((name) => [name, (...args: readonly unknown[]) => overTheLine(name, args.slice(0, -1))]))
  return { deviceId, maxChunkBytes: 16, ...methods, async [Symbol.asyncDispose]() {} } as unknown as Ports[keyof Ports]
}

async function answerTo(command: Command): Promise<Extract<Said, { is: 'done' }>> {
  switch (command.do) {
    case 'open':
      return { is: 'done', ...(await open(command.setup)) }
    case 'clock':
      clockOffsetMs = command.offsetMs
      return { is: 'done' }
    case 'record': {
      const entry = await running?.composition.journal.get(`device/${command.deviceId}`)
      return { is: 'done', ...(entry === undefined ? {} : { record: entry.value }) }
    }
    case 'push': {
      if (running === undefined) throw new Error('expected an open composition')
      const { options, composition } = running
      const engine = createEngine({ ...options, transports: [line(running.port)], lookAgainMs: 1 }, composition)
      return { is: 'done', result: await engine.update(command.device) }
    }
    case 'close':
      await close()
      return { is: 'done' }
  }
}

function failureOf(error: unknown): Failure {
  if (isOtaError(error)) return { code: error.code, fault: error.fault, message: error.message, because: error.because }
  return {
    code: 'BROKEN',
    fault: 'internal',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
    because: [],
  }
}

process.on('message', (message: Command | Answered) => {
  if ('is' in message) calls.get(message.n)?.(message)
  else answerTo(message).then(say, (error: unknown) => say({ is: 'done', failure: failureOf(error) }))
})
process.on('SIGTERM', () => {
  close().then(
    () => process.exit(0),
    () => process.exit(1),
  )
})
process.on('disconnect', () => process.exit(0))
say({ is: 'ready' })
