import type { Fault } from '../broken-chains.ts'
import { goodLayers } from '../good-layers.ts'
import type { WrittenLayer } from '../write-claims.ts'

const [first, second] = goodLayers as readonly [WrittenLayer, WrittenLayer]
const ueid = Uint8Array.from([0x01, ...new Uint8Array(16).fill(0xab)])
const anything: Fault['options'] = () => ({ allowUnknownLayers: true, referenceValues: [] })

/** What is wrong with the device as a whole. */
export const deviceFaults: readonly Fault[] = [
  { name: 'layers that go down', fails: ['LAYER_ORDER'], chain: { layers: [second, first] } },
  { name: 'a layer twice, in two certificates', fails: ['LAYER_ORDER'], chain: { layers: [first, second, second] } },
  { name: 'a layer twice, in one certificate', fails: [], chain: { layers: [first, [second, second]] } },
  {
    name: 'a layer that is skipped',
    fails: ['LAYER_GAP'],
    chain: { layers: [first, { ...second, layer: 3 }] },
    options: () => ({ ...anything({} as never), expectedLayers: [1, 2, 3] }),
  },
  { name: 'a UEID of 6 bytes', fails: ['UEID'], chain: { ueid: ueid.subarray(0, 6) } },
  { name: 'a UEID of type 00', fails: ['UEID'], chain: { ueid: Uint8Array.from([0, ...ueid.subarray(1)]) } },
  { name: 'the UEID that was enrolled', fails: [], chain: { ueid }, enrolled: `ueid:${Buffer.from(ueid).toString('hex')}` },
  { name: 'another UEID than was enrolled', fails: ['IDENTITY'], chain: { ueid }, enrolled: `ueid:01${'cd'.repeat(16)}` },
  { name: 'another device than was seen first', fails: ['IDENTITY'], before: { secret: 'the device before' } },
  { name: 'a device that is not enrolled', fails: ['IDENTITY'], options: () => ({ identities: { d2: 'key:00' } }) },
  {
    name: 'a certificate that was revoked',
    fails: ['REVOKED_CERTIFICATE'],
    options: ({ parts }) => {
      const { issuer, serial } = parts[1] as (typeof parts)[0]
      const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
      return { revoked: { certificates: [{ issuer: hex(issuer), serial: hex(serial.subarray(2)) }] } }
    },
  },
  { name: 'a key that was revoked', fails: ['REVOKED_KEY'], options: ({ keys }) => ({ revoked: { keys: [keys[2]?.keyId ?? ''] } }) },
  {
    name: 'firmware that was revoked by its digest',
    fails: ['REVOKED_MEASUREMENT'],
    options: () => ({ revoked: { measurements: [{ fwid: { hashAlg: 'sha256', digest: '11'.repeat(32) } }] } }),
  },
  {
    name: 'firmware that was revoked by its environment',
    fails: ['REVOKED_MEASUREMENT'],
    options: () => ({ revoked: { measurements: [{ environment: { vendor: 'example', model: 'lamp', layer: 2 } }] } }),
  },
]
