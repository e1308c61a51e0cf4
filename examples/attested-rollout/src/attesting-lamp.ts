import { createHash } from 'node:crypto'
import { diceDevice } from '@reflash/attest-dice/testing'
import type { ChipName } from '@reflash/target-esp32'
import { agentPort, demoImage, virtualEsp32 } from '@reflash/target-esp32/testing'
import { type NativeOffer, nativeClient } from '@reflash/transport-http/client'

/** What a lamp does. */
export type Behaviour = 'honest' | 'lies about its version' | 'can be debugged'

/** A virtual ESP32 whose DICE measures its flash. */
export interface AttestingLamp {
  readonly id: string
  readonly token: string
  readonly behaviour: Behaviour
  readonly makerPem: string
  readonly identity: string
  /** Goes the way of one update, over HTTP. */
  update(server: string): Promise<void>
}

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

export function attestingLamp(id: string, chip: ChipName, behaviour: Behaviour): AttestingLamp {
  const board = virtualEsp32({ chip, id })
  board.provision(demoImage({ chip, version: '1.0.0' }))
  board.boot()
  let isOpen = false
  const running = (): string => {
    if (board.booted.is !== 'running') throw new Error('expected a lamp that runs')
    return sha256(board.flash.read(board.booted.offset, board.booted.imageBytes))
  }
  const dice = diceDevice({
    deviceId: id,
    measure: () => [
      { vendor: 'espressif', model: chip, layer: 1, fwids: [{ hashAlg: 'sha256', digest: sha256('bootloader') }] },
      {
        vendor: 'espressif',
        model: chip,
        layer: 2,
        svn: 0,
        fwids: [{ hashAlg: 'sha256', digest: running() }],
        ...(isOpen ? { modes: ['debug'] as const } : {}),
      },
    ],
  })
  const token = `token-of-${id}`
  return {
    id,
    token,
    behaviour,
    makerPem: dice.rootPem,
    identity: dice.identity,
    async update(server) {
      const client = nativeClient({ server, deviceId: id, token })
      const self = () => {
        const { installed, model = chip, attributes = {} } = board.state()
        return { model, attributes, ...(installed === undefined ? {} : { installed }) }
      }
      try {
        const first = await client.checkIn(self())
        const admitted = dice.prove({ nonce: first.challenge as Uint8Array, purpose: 'admit' })
        const { offer } = await client.checkIn({ ...self(), evidence: admitted })
        if (offer === undefined) throw new Error(`${id}: expected an offer`)
        const lies = behaviour === 'lies about its version'
        if (!lies) await install(offer)
        await client.report(offer.seq, { state: 'installed' })
        isOpen = behaviour === 'can be debugged'
        const said = lies ? { ...self(), installed: { version: offer.version, state: 'confirmed' as const } } : self()
        const { challenge } = await client.checkIn(said)
        await client.checkIn({ ...said, evidence: dice.prove({ nonce: challenge as Uint8Array, purpose: 'confirm' }) })
      } finally {
        client.close()
      }

      async function install({ components: [component] }: NativeOffer): Promise<void> {
        if (component === undefined) throw new Error(`${id}: expected an image`)
        const context = { signal: new AbortController().signal, now: new Date() }
        const port = agentPort(board)
        let { offset: at } = await port.begin(component, context)
        for await (const chunk of client.download(component, { offset: at })) {
          await port.write(at, chunk, context)
          at += chunk.length
        }
        await port.activate(context)
        board.boot()
        board.markValid()
      }
    },
  }
}
