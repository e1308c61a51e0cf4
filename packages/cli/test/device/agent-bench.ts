import { crc32, digestOf, OtaError, type Report, streamOf } from '@reflash/core'
import { demoImage, memoryFlash, virtualEsp32 } from '@reflash/target-esp32/testing'
import { type AgentEvent, deviceAgent, type Outcome } from '../../src/device/device-agent.ts'
import type { DeviceMemory, Remembered } from '../../src/device/device-memory.ts'
import type { ReceivedAnswer, SelfDescription, UpdateServer } from '../../src/device/update-server.ts'
import { virtualHardware } from '../../src/device/virtual-hardware.ts'

/** The process died here. */
export class Killed extends Error {}

export interface Release {
  readonly version: string
  readonly image: Uint8Array
}

/** A device whose flash and memory outlive its "process", and a server in the same process that offers one release. */
export function agentBench({ chip = 'esp32s3' as const } = {}) {
  const flash = memoryFlash()
  let remembered: Remembered = { versions: {} }
  const reports: Report[] = []
  const events: AgentEvent[] = []
  const checkIns: SelfDescription[] = []
  const downloads: number[] = []
  let release: Release | undefined
  let seq = 0
  let operations = 0
  let killAt = Number.POSITIVE_INFINITY
  const bench = {
    flash,
    reports,
    events,
    checkIns,
    downloads,
    selfTest: (): boolean => true,
    /** Replaces calls to the server. */
    override: {} as Partial<UpdateServer>,
    crc32: undefined as number | undefined,
    get remembered() {
      return remembered
    },
    get operations() {
      return operations
    },
    offer(next: Release | undefined) {
      release = next
      seq += 1
    },
    /** Kills the process before its nth operation: a call to the server, a write to memory, a piece of flash. */
    killAt(n: number) {
      killAt = operations + n
    },
    device: () => virtualEsp32({ chip, flash, id: 'd1' }),
    /** One process: power on, one check-in. */
    run: async (signal: AbortSignal = new AbortController().signal): Promise<Outcome> => agent().checkIn(signal),
  }
  const step = (): void => {
    operations += 1
    if (operations > killAt) throw new Killed()
  }

  function answer(self: SelfDescription): ReceivedAnswer {
    const idle = { pollAfterMs: 1000, wantsEvidence: false, because: [{ code: 'UP_TO_DATE', message: 'nothing newer' }] }
    if (release === undefined) return idle
    const digest = digestOf(release.image)
    if (self.installed?.digest === digest) return idle
    const image = { component: 'image', digest, size: release.image.length, crc32: bench.crc32 ?? crc32(release.image) }
    return { ...idle, because: [], offer: { seq, version: release.version, images: [image] } }
  }

  const server: UpdateServer = {
    checkIn: async (self, signal) => {
      step()
      checkIns.push(self)
      return bench.override.checkIn?.(self, signal) ?? answer(self)
    },
    download: async (offer, image, offset, signal) => {
      step()
      downloads.push(offset)
      if (bench.override.download !== undefined) return bench.override.download(offer, image, offset, signal)
      return streamOf((release as Release).image.subarray(offset), 5000)
    },
    report: async (number, report, signal) => {
      step()
      await bench.override.report?.(number, report, signal)
      reports.push(report)
    },
  }
  const memory: DeviceMemory = {
    read: () => remembered,
    write: (next) => {
      step()
      remembered = structuredClone(next)
    },
  }

  function agent() {
    const hardware = virtualHardware(bench.device())
    const port = { ...hardware.port, write: killable(hardware.port.write), activate: killable(hardware.port.activate) }
    return deviceAgent({
      hardware: { ...hardware, port },
      memory,
      server,
      selfTest: () => {
        step()
        return bench.selfTest()
      },
      onEvent: (event) => events.push(event),
      now: () => new Date(0),
    })
  }

  // Dies once before the work and once after it, when it is done and nobody knows.
  function killable<A extends unknown[]>(work: (...args: A) => Promise<void>): (...args: A) => Promise<void> {
    return async (...args) => {
      step()
      await work(...args)
      step()
    }
  }

  return bench
}

/** 96 KiB, so that a download has many sectors. */
export function releaseOf(version: string, chip: 'esp32s3' | 'esp32c3' = 'esp32s3'): Release {
  return { version, image: demoImage({ chip, version, sizeBytes: 32 * 1024 }) }
}

export function unavailable(message = 'the server is away'): OtaError {
  return new OtaError('SERVER_UNAVAILABLE', 'unavailable', message)
}
