import { createGateway, type ReflashOptions, type RunningGateway, tokenDevices, unattestedDevices, unsignedArtifacts } from '@reflash/core'
import { memoryCache, memoryJournal, memoryRegistry, memoryTarget } from '@reflash/core/testing'
import type { MqttClient } from '../../src/client/index.ts'
import { type Board, board } from './board.ts'

export const repository = 'registry.test/fw/board'

/** An image of the memory board, which is text: its version stands in the second line. */
export function imageOf(version: string, sizeBytes = 300_000): Uint8Array {
  const head = `board board\n${version}\n`
  return new TextEncoder().encode(
    head + `${version} `.repeat(Math.ceil(sizeBytes / (version.length + 1))).slice(0, sizeBytes - head.length),
  )
}

export const tokenOf = (id: string): string => `token of ${id}`

/** Everything of a server but its transports, in memory. */
export function options(more: Partial<ReflashOptions> & { readonly devices?: readonly string[] } = {}): ReflashOptions {
  const { devices = ['d1'], ...rest } = more
  const registry = memoryRegistry()
  registry.addArtifact(repository, { content: imageOf('1.1.0'), tag: '1.1.0', version: '1.1.0' })
  return {
    repository,
    registry,
    verifiers: [unsignedArtifacts()],
    targets: [memoryTarget()],
    authenticators: [tokenDevices(Object.fromEntries(devices.map((id) => [id, tokenOf(id)])))],
    attestation: [unattestedDevices()],
    journal: memoryJournal(),
    cache: memoryCache(),
    ...rest,
  }
}

export function gatewayOf(more?: Parameters<typeof options>[0]): RunningGateway {
  return createGateway(options(more))
}

export function boardOf(id: string): Board {
  return board(id, imageOf('1.0.0', 100))
}

const context = { signal: new AbortController().signal, now: new Date(0) }

/** What a device with nothing but MQTT does: checks in, goes the whole way of what it is offered, and shows what it runs. */
export async function updateOverMqtt(client: MqttClient, device: Board): Promise<string> {
  const say = () => {
    const { model, installed } = device.state()
    return { ...(model === undefined ? {} : { model }), ...(installed === undefined ? {} : { installed }) }
  }
  const { port } = device
  const { offer, because } = await client.checkIn(say())
  const component = offer?.components[0]
  if (offer === undefined || component === undefined) return because.map(({ code }) => code).join()
  const { offset } = await port.begin({ digest: component.digest, size: component.size }, context)
  let at = offset
  for await (const bytes of client.download(offer, component, { offset })) {
    await port.write(at, bytes, context)
    at += bytes.length
  }
  await client.report(offer.seq, { state: 'downloaded', received: at })
  await port.activate(context)
  await client.report(offer.seq, { state: 'installed' })
  device.restart()
  device.keep()
  const after = await client.checkIn(say())
  return `${after.because[0]?.code} ${device.state().installed?.version} ${device.state().installed?.state}`
}
