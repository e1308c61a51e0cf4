import type { Measurement } from '@reflash/core'
import type { Certificate } from '../x509/certificate.ts'
import { environmentOf, type LayerEnvironment } from './environment.ts'
import type { Fwid, Modes, TcbInfo } from './tcb-info.ts'

/** One measured environment of a chain. */
export interface Layer {
  readonly kind: 'tcg' | 'open-dice'
  /** Index of its certificate; the leaf is 0. */
  readonly certificate: number
  readonly environment: LayerEnvironment
  readonly fwids: readonly Fwid[]
  readonly svn?: number
  readonly modes: Modes
}

/** The layers of a chain from the anchor to the leaf. Those of Open DICE have no number: they count from 1 below the anchor. */
export function layersOf(chain: readonly Certificate[], layerNames: Readonly<Record<number, string>> = {}): readonly Layer[] {
  const layers: Layer[] = []
  let depth = 0
  for (let certificate = chain.length - 1; certificate >= 0; certificate--) {
    const { tcb, openDice } = (chain[certificate] as Certificate).claims
    for (const info of tcb) layers.push(tcgLayer(info, certificate, layerNames))
    if (openDice === undefined) continue
    depth += 1
    layers.push({
      kind: 'open-dice',
      certificate,
      environment: named({ layer: depth }, layerNames),
      fwids: [{ hashAlg: 'sha512', digest: Buffer.from(openDice.codeHash).toString('hex') }],
      ...(openDice.svn === undefined ? {} : { svn: openDice.svn }),
      modes: openDice.modes,
    })
  }
  return layers
}

function tcgLayer(info: TcbInfo, certificate: number, layerNames: Readonly<Record<number, string>>): Layer {
  const { vendor, model, layer, index, type, svn } = info
  const environment = {
    ...(vendor === undefined ? {} : { vendor }),
    ...(model === undefined ? {} : { model }),
    ...(layer === undefined ? {} : { layer }),
    ...(index === undefined ? {} : { index }),
    ...(type === undefined ? {} : typeOf(type)),
  }
  return {
    kind: 'tcg',
    certificate,
    environment: named(environment, layerNames),
    fwids: info.fwids,
    ...(svn === undefined ? {} : { svn }),
    modes: info.modes,
  }
}

function named(environment: LayerEnvironment, layerNames: Readonly<Record<number, string>>): LayerEnvironment {
  const { layer } = environment
  const layerName = layer === undefined || !Object.hasOwn(layerNames, layer) ? undefined : layerNames[layer]
  return layerName === undefined ? environment : { ...environment, layerName }
}

function typeOf(type: Uint8Array): Pick<LayerEnvironment, 'type' | 'typeHex'> {
  const typeHex = Buffer.from(type).toString('hex')
  const isText = type.length > 0 && type.every((octet) => octet >= 0x20 && octet < 0x7f)
  return isText ? { type: Buffer.from(type).toString('latin1'), typeHex } : { typeHex }
}

/** What the device measured, as data. */
export function measurementsOf(layers: readonly Layer[]): readonly Measurement[] {
  return layers
    .filter(({ fwids }) => fwids.length > 0)
    .map(({ environment, fwids, svn }) => ({
      environment: environmentOf(environment),
      digests: fwids.map(({ hashAlg, digest }) => ({ hashAlg, digest })),
      ...(svn === undefined ? {} : { svn }),
    }))
}
