import { join } from 'node:path'
import {
  createEngine,
  createGateway,
  diskCache,
  type EngineOptions,
  type PushResult,
  type RunningGateway,
  tokenDevices,
  unattestedDevices,
} from '@reflash/core'
import { type ManualClock, manualClock } from '@reflash/core/testing'
import { cosignVerifier, ociRegistry } from '@reflash/registry-oci'
import { sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'
import { httpTransport } from '@reflash/transport-http'
import { type AttackedRegistry, secret } from './attacked-registry.ts'
import { chip, type LampReleases, product } from './lamp-releases.ts'
import { type PullingDevice, type PushedDevice, pullingDevice, pushedDevice } from './recording-devices.ts'

/** A device that pulls and one that gets pushes. */
export interface LampDevices {
  readonly pulling: PullingDevice
  readonly pushed: PushedDevice
}

/** A whole update system against one registry: a server for a device that pulls, and an engine that pushes to another. */
export interface HostileBench extends LampDevices, AsyncDisposable {
  readonly gateway: RunningGateway
  push(signal?: AbortSignal): Promise<PushResult>
  /** Lets whatever was remembered of a failure go by. */
  later(): void
}

/** What an operator has in seconds, in milliseconds: an attack is over when the last of them has passed. */
const times = { freshMs: 1, staleMs: 2, waitMs: 400, answerMs: 600, prepareMs: 1000, releaseMs: 800 }
const limits = { attempts: 2, answerTimeoutMs: 200, idleTimeoutMs: 200, connectTimeoutMs: 200, tags: 5_000, tagPages: 50 }

const token = 'a-token-of-the-lamp'

export function lampDevices(image: Uint8Array, verified?: ReadonlyMap<string, Uint8Array>): LampDevices {
  return {
    pulling: pullingDevice({ url: 'http://127.0.0.1:1', id: 'lamp-1', token, image, ...(verified === undefined ? {} : { verified }) }),
    pushed: pushedDevice('lamp-2', image, verified),
  }
}

export interface BenchOptions {
  /** Those of before a restart. */
  readonly devices: LampDevices
  /** Goes on over a restart. */
  readonly clock?: ManualClock
  /** Bytes of content that the cache keeps in memory: its default where absent. */
  readonly hotBytes?: number
}

export async function hostileBench(
  folder: string,
  registry: AttackedRegistry,
  releases: LampReleases,
  { devices, clock = manualClock(), hotBytes }: BenchOptions,
): Promise<HostileBench> {
  const { pulling, pushed } = devices
  let elapsed = 0
  // Pauses between attempts pass at once: only their number counts here.
  const pauses = {
    now: () => elapsed,
    async sleep(milliseconds: number) {
      elapsed += milliseconds
    },
  }
  const authenticators = [tokenDevices({ 'lamp-1': token })]
  const options: EngineOptions = {
    repository: `${registry.host}/firmware/lamp`,
    product,
    registry: ociRegistry({ credentials: () => secret, clock: pauses, random: () => 0.5, limits }),
    verifiers: [cosignVerifier({ keys: [releases.publicKeyPem] })],
    targets: [esp32Target()],
    authenticators,
    attestation: [unattestedDevices()],
    journal: sqlStore({ file: join(folder, 'journal.db'), now: clock.now, synchronous: 'normal' }),
    cache: diskCache({ directory: join(folder, 'cache'), ...(hotBytes === undefined ? {} : { hotBytes }) }),
    clock: clock.now,
    times,
    transports: [pushed.transport],
    lookAgainMs: 1,
    policy: { confirmWithinMs: 0 },
  }
  const gateway = createGateway(options)
  const engine = createEngine(options, gateway.composition)
  const serving = await httpTransport({ listen: '127.0.0.1:0', limits: { drainMs: 0 } }).serve({ gateway, authenticators })
  pulling.connect(serving.addresses[0] as string)
  return {
    gateway,
    pulling,
    pushed,
    push: (signal) => engine.update({ id: 'lamp-2', model: chip }, signal === undefined ? {} : { signal }),
    later: () => clock.advance(60_000),
    async [Symbol.asyncDispose]() {
      pulling.close()
      await serving[Symbol.asyncDispose]()
      await gateway.composition.close()
    },
  }
}
