import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { diceVerifier } from '@reflash/attest-dice'
import { type ChainLayer, type DiceDevice, diceDevice } from '@reflash/attest-dice/testing'
import { createGateway, digestOf, diskCache, type Evidence, type OtaEvent, streamOf, tokenDevices } from '@reflash/core'
import { cosignVerifier, generateKeyPair, ociRegistry, openKey, pushArtifact, signArtifact } from '@reflash/registry-oci'
import { sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'
import { agentPort, demoImage, type VirtualEsp32, virtualEsp32 } from '@reflash/target-esp32/testing'
import { httpTransport } from '@reflash/transport-http'
import { type NativeAnswer, type NativeClient, nativeClient } from '@reflash/transport-http/client'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from '../testing/run-reflash.ts'

const chip = 'esp32s3'
const context = { signal: new AbortController().signal, now: new Date() }
const bootloader = 'a bootloader that never changes'

/** A device with flash, a DICE that measures it, and a client that speaks HTTP. */
export interface AttestedDevice {
  readonly chip: VirtualEsp32
  readonly dice: DiceDevice
  readonly client: NativeClient
  /** Checks in with what the device says of itself, or with something else. */
  checkIn(said?: { readonly version?: string; readonly evidence?: Evidence }): Promise<NativeAnswer>
  /** Downloads what is offered into its flash, reports it, and starts it. */
  install(answer: NativeAnswer): Promise<void>
  /** Shows what it is asked for, until an image is offered. */
  offered(): Promise<NativeAnswer>
}

export interface AttestedScene {
  readonly device: AttestedDevice
  readonly neighbour: AttestedDevice
  /** How confirmations ended: `passed`, or the codes of why not. */
  confirmations(): readonly (readonly string[])[]
}

/** How the layers of a device are told: as they are, unless it lies or was opened. */
export type Measure = (layers: readonly ChainLayer[]) => readonly ChainLayer[]

/** What runs in the flash, hashed byte by byte. */
function hashOfFlash({ booted, flash }: VirtualEsp32): string {
  if (booted.is !== 'running') throw new Error('expected a device that runs')
  return createHash('sha256').update(flash.read(booted.offset, booted.imageBytes)).digest('hex')
}

function layersOf(board: VirtualEsp32): readonly ChainLayer[] {
  return [
    {
      vendor: 'espressif',
      model: chip,
      layer: 1,
      fwids: [{ hashAlg: 'sha256', digest: createHash('sha256').update(bootloader).digest('hex') }],
    },
    { vendor: 'espressif', model: chip, layer: 2, svn: 0, fwids: [{ hashAlg: 'sha256', digest: hashOfFlash(board) }] },
  ]
}

/** A signed 1.1.0 in an OCI layout, a server that confirms by evidence alone, and two devices that run 1.0.0. */
export async function attestedScene(measure: Measure = (layers) => layers): Promise<AttestedScene> {
  const folder = await temporaryFolder()
  const registry = ociRegistry()
  const keys = await generateKeyPair('secret')
  const image = demoImage({ chip, version: '1.1.0' })
  const reference = `oci:${folder}/releases:1.1.0`
  const platform = { os: 'custom', architecture: chip }
  const file = { open: () => streamOf(image), size: image.length, digest: digestOf(image), title: 'lamp.bin', platform }
  await pushArtifact(registry, reference, [file], { product: 'lamp', created: new Date() })
  await signArtifact(registry, reference, await openKey(keys.privateKeyPem, 'secret'))

  const boards = ['d1', 'd2'].map((id) => {
    const board = virtualEsp32({ chip, id })
    board.provision(demoImage({ chip, version: '1.0.0' }))
    board.boot()
    return { id, board, dice: diceDevice({ deviceId: id, measure: () => measure(layersOf(board)) }) }
  })
  const tokens = Object.fromEntries(boards.map(({ id }) => [id, `token-${id}`]))
  const authenticators = [tokenDevices(tokens)]
  const events: OtaEvent[] = []
  const gateway = createGateway({
    repository: `oci:${folder}/releases`,
    product: 'lamp',
    registry,
    verifiers: [cosignVerifier({ keys: [keys.publicKeyPem] })],
    targets: [esp32Target()],
    authenticators,
    attestation: [
      diceVerifier({
        anchors: [boards[0]?.dice.rootPem ?? ''],
        identities: Object.fromEntries(boards.map(({ id, dice }) => [id, dice.identity])),
        referenceValues: [
          { environment: { layer: 1 }, fwids: [{ hashAlg: 'sha256', digest: createHash('sha256').update(bootloader).digest('hex') }] },
        ],
        released: [{ layer: 'application' }],
        required: [{ layer: 1 }, { layer: 'application' }],
        layerNames: { 2: 'application' },
      }),
    ],
    policy: { attestation: 'proven' },
    journal: sqlStore({ file: join(folder, 'journal.db') }),
    cache: diskCache({ directory: join(folder, 'cache') }),
    onEvent: (event) => events.push(event),
  })
  const serving = await httpTransport({ listen: '127.0.0.1:0' }).serve({ gateway, authenticators })
  const [device, neighbour] = boards.map(({ id, board, dice }) => deviceOf(board, dice, serving.addresses[0] as string, id, `token-${id}`))
  onTestFinished(async () => {
    device?.client.close()
    neighbour?.client.close()
    await serving[Symbol.asyncDispose]()
    await gateway.composition.close()
  })
  return {
    device: device as AttestedDevice,
    neighbour: neighbour as AttestedDevice,
    confirmations: () =>
      events.flatMap((event) =>
        event.type === 'device' && event.stage === 'confirm' && (event.status === 'passed' || event.status === 'failed')
          ? [event.status === 'passed' ? ['passed'] : event.because.map(({ code }) => code)]
          : [],
      ),
  }
}

function deviceOf(board: VirtualEsp32, dice: DiceDevice, server: string, deviceId: string, token: string): AttestedDevice {
  const client = nativeClient({ server, deviceId, token })
  const checkIn: AttestedDevice['checkIn'] = ({ version, evidence } = {}) => {
    const { installed, model, attributes } = board.state()
    if (installed === undefined || model === undefined || attributes === undefined) throw new Error('expected a device that runs')
    const said = version === undefined ? installed : { version, state: 'confirmed' as const }
    return client.checkIn({ model, attributes, installed: said, ...(evidence === undefined ? {} : { evidence }) })
  }
  return {
    chip: board,
    dice,
    client,
    checkIn,
    async offered() {
      const { challenge } = await checkIn()
      return checkIn({ evidence: dice.prove({ nonce: challenge as Uint8Array, purpose: 'admit' }) })
    },
    async install({ offer }) {
      const component = offer?.components[0]
      if (offer === undefined || component === undefined) throw new Error('expected an offer')
      const port = agentPort(board)
      const { offset } = await port.begin(component, context)
      let at = offset
      for await (const chunk of client.download(component, { offset })) {
        await port.write(at, chunk, context)
        at += chunk.length
      }
      await port.activate(context)
      await client.report(offer.seq, { state: 'installed' })
      board.boot()
      board.markValid()
    },
  }
}
