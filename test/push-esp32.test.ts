import {
  createEngine,
  type EngineOptions,
  type FlashPort,
  OtaError,
  type Transport,
  tokenDevices,
  unattestedDevices,
  unsignedArtifacts,
} from '@reflash/core'
import { manualClock, memoryCache, memoryJournal, memoryRegistry } from '@reflash/core/testing'
import { esp32Target } from '@reflash/target-esp32'
import { demoImage, flashPort, type VirtualEsp32, virtualEsp32 } from '@reflash/target-esp32/testing'
import { describe, expect, test } from 'vitest'

const repository = 'registry.test/firmware/sensor'
const unit = { id: 'sensor-1', model: 'esp32s3' }

/** A cable to a virtual chip, which is pulled out in place of the nth access, and plugged in again for the next push. */
function cableTo(device: VirtualEsp32, pulledAt = Number.POSITIVE_INFINITY) {
  let accesses = 0
  const counted =
    <A extends unknown[], R>(act: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      accesses += 1
      if (accesses === pulledAt) throw new OtaError('CABLE_PULLED', 'unavailable', 'expected a cable, found none')
      return act(...args)
    }
  const port = (): FlashPort => {
    const { read, erase, write, reset, ...rest } = flashPort(device)
    return { ...rest, read: counted(read), erase: counted(erase), write: counted(write), reset: counted(reset) }
  }
  const transport: Transport<'flash'> = {
    kind: 'transport',
    name: 'cable',
    spec: 0,
    uses: 'flash',
    connect: async () => ({ port: port(), principal: { deviceId: device.id, by: 'gateway' }, async [Symbol.asyncDispose]() {} }),
  }
  return { transport: transport as Transport, accesses: () => accesses }
}

function scene(pulledAt?: number) {
  const clock = manualClock()
  const registry = memoryRegistry()
  const device = virtualEsp32({ chip: 'esp32s3', id: unit.id })
  const cable = cableTo(device, pulledAt)
  // What is built into an image need not be what it is released as.
  const release = (version: string): void => {
    const content = demoImage({ chip: 'esp32s3', version: `build-${version}`, sizeBytes: 16 * 1024 })
    registry.addArtifact(repository, { content, tag: version, version })
  }
  const options: EngineOptions = {
    repository,
    registry,
    verifiers: [unsignedArtifacts()],
    targets: [esp32Target()],
    authenticators: [tokenDevices({ [unit.id]: 'unused' })],
    attestation: [unattestedDevices()],
    journal: memoryJournal({ now: clock.now }),
    cache: memoryCache(),
    clock: clock.now,
    transports: [cable.transport],
    lookAgainMs: 1,
    policy: { confirmWithinMs: 0 },
  }
  return { device, release, clock, options, cable, push: () => createEngine(options).update(unit) }
}

describe('a push to an ESP32 over its flash', () => {
  test('installs, waits for the self-test, confirms, and knows the version of its image by its digest', async () => {
    const { device, release, clock, push } = scene()
    release('1.0.0')
    expect(await push()).toMatchObject({ outcome: 'waiting', because: [{ code: 'NOT_CONFIRMED' }] })
    device.markValid()
    expect(await push()).toMatchObject({ seq: 1, outcome: 'confirmed' })
    expect(device.state().installed?.version).toBe('build-1.0.0')
    release('1.1.0')
    clock.advance(10_000)
    expect(await push()).toMatchObject({ seq: 2, version: '1.1.0', outcome: 'waiting' })
    device.markInvalidAndRollback()
    expect(await push()).toMatchObject({
      seq: 2,
      version: '1.1.0',
      outcome: 'failed',
      because: [{ code: 'ROLLED_BACK' }, { code: 'ROLLED_BACK' }],
    })
    expect(device.state().installed?.version).toBe('build-1.0.0')
  })

  test('goes on after the cable was pulled, wherever that was', async () => {
    const whole = scene()
    whole.release('1.0.0')
    await whole.push()
    const all = whole.cable.accesses()
    expect(all).toBeGreaterThan(20)
    for (let pulledAt = 1; pulledAt <= all; pulledAt += Math.max(1, Math.floor(all / 25))) {
      const { device, release, push } = scene(pulledAt)
      release('1.0.0')
      await expect(push(), `pulled at ${pulledAt} of ${all}`).rejects.toMatchObject({ code: 'CABLE_PULLED' })
      expect(await push(), `pulled at ${pulledAt} of ${all}`).toMatchObject({ seq: 1, outcome: 'waiting' })
      device.markValid()
      expect(await push()).toMatchObject({ seq: 1, outcome: 'confirmed' })
    }
  })
})
