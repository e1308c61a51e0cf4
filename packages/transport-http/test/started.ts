import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Authenticator, anonymousDevices, type Serving } from '@reflash/core'
import { type HttpTransportOptions, httpTransport, type RequestRecord } from '@reflash/transport-http'
import { onTestFinished } from 'vitest'
import { type FakeGateway, fakeGateway } from './fake-gateway.ts'

export interface Started {
  readonly url: string
  readonly gateway: FakeGateway
  readonly serving: Serving
  readonly records: RequestRecord[]
  readonly causes: unknown[]
}

/** A transport on a free port of the loopback, stopped when the test ends. */
export async function started(
  options: HttpTransportOptions = {},
  gateway: FakeGateway = fakeGateway(),
  authenticators: readonly Authenticator[] = [anonymousDevices()],
): Promise<Started> {
  const records: RequestRecord[] = []
  const causes: unknown[] = []
  const onRequest = (record: RequestRecord, cause?: unknown): void => {
    records.push(record)
    causes.push(cause)
  }
  const limits = { drainMs: 0, ...options.limits }
  const serving = await httpTransport({ listen: '127.0.0.1:0', onRequest, ...options, limits }).serve({ gateway, authenticators })
  onTestFinished(() => serving[Symbol.asyncDispose]())
  return { url: serving.addresses[0] as string, gateway, serving, records, causes }
}

/** A file of these bytes, removed when the test ends. */
export function fileOf(bytes: Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), 'reflash-http-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'image.bin')
  writeFileSync(path, bytes)
  return path
}

/** Resolves when `condition` holds; looks after each turn of the event loop, up to a bound. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`it never came true that ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** A small generator of repeatable random numbers (mulberry32). */
export function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
}

export function patterned(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let index = 0; index < size; index++) bytes[index] = (index * 31 + (index >> 8) * 7) & 0xff
  return bytes
}
