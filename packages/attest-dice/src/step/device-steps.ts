import { meansLayer } from '../claims/environment.ts'
import type { Layer } from '../claims/layers.ts'
import type { Certificate } from '../x509/certificate.ts'
import { each } from './certificate-steps.ts'
import type { Finding, Revoked, Scene, Step } from './scene.ts'

/** Order of the layers, who the device is, and what was revoked. */
export const deviceSteps: readonly Step[] = [
  {
    name: 'LAYER_ORDER',
    group: 'layers',
    needs: 'chain',
    find({ layers }) {
      const findings: Finding[] = []
      let highest = -1
      for (const certificate of new Set(layers.map((layer) => layer.certificate))) {
        const numbers = numbersOf(layers.filter((layer) => layer.certificate === certificate))
        if (numbers.length === 0) continue
        // The same layer twice is one environment measured in parts, and only within one certificate.
        if (Math.min(...numbers) <= highest)
          findings.push({ certificate, reason: `expected a layer above ${highest}, found ${Math.min(...numbers)}` })
        highest = Math.max(highest, ...numbers)
      }
      return findings
    },
  },
  {
    name: 'LAYER_GAP',
    group: 'layers',
    needs: 'chain',
    find({ layers, policy: { expectedLayers } }) {
      if (expectedLayers === undefined || expectedLayers.length === 0) return 'the policy lists no layers'
      const numbers = numbersOf(layers)
      return expectedLayers
        .filter((wanted) => !numbers.includes(wanted))
        .map((wanted) => ({ reason: `expected layer ${wanted}, found no certificate for it` }))
    },
  },
  {
    name: 'UEID',
    group: 'identity',
    needs: 'chain',
    find(scene) {
      const first = scene.path.chain.findLast(({ claims }) => claims.ueid !== undefined)?.claims.ueid
      if (first === undefined) return 'the chain has no UEID'
      return each(scene, ({ claims: { ueid } }) => {
        if (ueid === undefined) return undefined
        // RFC 9711, 4.2.1: a type, and 6 to 32 bytes.
        if (ueid.length < 7 || ueid.length > 33 || ![1, 2, 3].includes(ueid[0] as number))
          return 'expected a UEID of 7 to 33 bytes and type 1, 2 or 3, found another'
        return Buffer.compare(ueid, first) === 0 ? undefined : 'expected the UEID of the certificates above it, found another'
      })
    },
  },
  {
    name: 'IDENTITY',
    group: 'identity',
    needs: 'chain',
    find({ asked, identities }) {
      if (asked === undefined) return 'no device is asked'
      if (asked.identity === undefined) return 'the device is seen for the first time: its identity is believed'
      if (asked.identity === null) return [{ reason: 'expected an enrolled device, found one without an identity' }]
      return identities.includes(asked.identity)
        ? []
        : [{ reason: 'expected the identity that was enrolled, found that of another device' }]
    },
  },
  {
    name: 'REVOKED_CERTIFICATE',
    group: 'revocation',
    needs: 'chain',
    find: (scene) =>
      revoked(scene, 'certificates', (list) =>
        each(scene, (certificate) => {
          const { issuer, serial } = inHex(certificate)
          return list.some((entry) => entry.issuer === issuer && entry.serial === serial)
            ? 'expected a certificate that was not revoked, found one that was'
            : undefined
        }),
      ),
  },
  {
    name: 'REVOKED_KEY',
    group: 'revocation',
    needs: 'chain',
    find: (scene) =>
      revoked(scene, 'keys', (list) =>
        each(scene, ({ keyId }) => (list.includes(keyId) ? 'expected a key that was not revoked, found one that was' : undefined)),
      ),
  },
  {
    name: 'REVOKED_MEASUREMENT',
    group: 'revocation',
    needs: 'chain',
    find: (scene) =>
      revoked(scene, 'measurements', (list) =>
        scene.layers
          .filter((layer) => list.some((entry) => matches(entry, layer)))
          .map(({ certificate }) => ({ certificate, reason: 'expected firmware that was not revoked, found some that was' })),
      ),
  },
]

function numbersOf(layers: readonly Layer[]): readonly number[] {
  return layers.flatMap(({ environment: { layer } }) => (layer === undefined ? [] : [layer]))
}

function inHex({ issuer, serial }: Certificate): { readonly issuer: string; readonly serial: string } {
  return { issuer: Buffer.from(issuer).toString('hex'), serial: Buffer.from(serial).toString('hex') }
}

function revoked<K extends keyof Revoked>(
  { policy }: Scene,
  kind: K,
  judge: (list: NonNullable<Revoked[K]>) => readonly Finding[],
): readonly Finding[] | string {
  const list = policy.revoked?.[kind]
  return list === undefined || list.length === 0 ? 'nothing of this kind is revoked' : judge(list)
}

function matches({ environment, fwid }: NonNullable<Revoked['measurements']>[number], layer: Layer): boolean {
  const isThere = fwid === undefined || layer.fwids.some(({ hashAlg, digest }) => hashAlg === fwid.hashAlg && digest === fwid.digest)
  return isThere && (environment === undefined || meansLayer(environment, layer.environment))
}
