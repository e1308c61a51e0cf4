import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { AgentPort } from '../../plugin/ports.ts'
import { expectBytes } from '../content.ts'
import type { TargetRule } from '../target-suite.ts'
import { driverRules, isDelivered, runs, type Stand } from './bench.ts'

const rule = driverRules('agent')
const agentOf = ({ bench }: Stand): AgentPort => bench.port as AgentPort

interface Write {
  readonly offset: number
  readonly bytes: Uint8Array
}

function writesOf({ calls }: ReturnType<Stand['spied']>): readonly Write[] {
  return calls
    .filter(({ method }) => method === 'write')
    .map(({ args }) => ({ offset: args[0] as number, bytes: (args[1] as Uint8Array).slice() }))
}

/** Holds that writes follow one another without a gap, from an offset to the end of the image. */
function coverFrom(start: number, writes: readonly Write[], image: Uint8Array): void {
  let at = start
  for (const { offset, bytes } of writes) {
    strictEqual(offset, at, `expected a write at ${at}, found one at ${offset}`)
    expectBytes(`the chunk at ${offset}`, bytes, image.subarray(offset, offset + bytes.length))
    at += bytes.length
  }
  strictEqual(at, image.length, `expected writes up to ${image.length}, found that they end at ${at}`)
}

/** What an agent on the device asks of a driver. */
export const agentRules: readonly TargetRule[] = [
  rule('begins', 'announces the planned image by digest and size before it writes, and activates nothing by a delivery', async (stand) => {
    const spied = stand.spied()
    await stand.deliver({ port: spied.port })
    const { digest, size } = stand.image.descriptor
    const begins = spied.calls.filter(({ method }) => method === 'begin')
    strictEqual(begins.length, 1, `expected one begin, found ${begins.length}`)
    const said = begins[0]?.args[0] as { readonly digest: unknown; readonly size: unknown }
    deepStrictEqual({ digest: said.digest, size: said.size }, { digest, size })
    const order = spied.calls.map(({ method }) => method).filter((method) => method !== 'status')
    strictEqual(order[0], 'begin', `expected begin first, found ${order[0]}`)
    ok(!order.includes('activate'), 'expected that a delivery activates nothing')
  }),
  rule('contiguous', 'writes every byte once, in order, in chunks that the agent takes', async (stand, { images }) => {
    const spied = stand.spied()
    await stand.deliver({ port: spied.port })
    const writes = writesOf(spied)
    const { maxChunkBytes } = agentOf(stand)
    const largest = Math.max(...writes.map(({ bytes }) => bytes.length))
    ok(largest <= maxChunkBytes, `expected chunks of at most ${maxChunkBytes} bytes (maxChunkBytes), found one of ${largest}`)
    ok(
      writes.every(({ bytes }) => bytes.length > 0),
      'expected no empty chunk',
    )
    coverFrom(0, writes, images.good)
  }),
  rule('from-offset', 'begins at the byte that the agent asks for', async (_stand, { images }, { stand }) => {
    for (const written of [1, 2]) {
      const one = await stand()
      const agent = agentOf(one)
      const { digest, size } = one.image.descriptor
      let { offset } = await agent.begin({ digest, size }, one.context)
      for (let count = 0; count < written && offset < size; count++) {
        const bytes = images.good.subarray(offset, Math.min(offset + agent.maxChunkBytes, size))
        await agent.write(offset, bytes, one.context)
        offset += bytes.length
      }
      // An agent may keep less than it was sent, such as whole sectors: what it asks for is what counts.
      let asked = -1
      const spied = one.spied(async ({ method }, make) => {
        const answer = await make()
        if (method === 'begin') asked = (answer as { readonly offset: number }).offset
        return answer
      })
      ok(isDelivered(await one.deliver({ port: spied.port }), one.image), 'expected that the image is delivered')
      coverFrom(asked, writesOf(spied), images.good)
      await one.install()
      await runs('after a delivery from an offset on', one, 'good')
    }
  }),
  rule('small-chunks', 'cuts chunks as small as the agent takes them', async (stand, { images }) => {
    const spied = stand.spied()
    const small = new Proxy(spied.port as AgentPort, { get: (port, key) => (key === 'maxChunkBytes' ? 11 : Reflect.get(port, key)) })
    ok(isDelivered(await stand.deliver({ port: small }), stand.image), 'expected that the image is delivered')
    ok(
      writesOf(spied).every(({ bytes }) => bytes.length <= 11),
      'expected chunks of at most 11 bytes',
    )
    coverFrom(0, writesOf(spied), images.good)
  }),
]
