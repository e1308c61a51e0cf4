import { extensionOid } from '../../x509/oids.ts'
import type { Fault } from '../broken-chains.ts'
import { der, derInteger, derOctets, derOid } from '../encode-der.ts'
import { goodLayers, goodOpenDiceLayers } from '../good-layers.ts'
import { openDiceExtension, type WrittenLayer } from '../write-claims.ts'
import { at, exchange } from './certificate-faults.ts'

const [first, second] = goodLayers as readonly [WrittenLayer, WrittenLayer]

/** The second layer with something else in it. */
const other = (change: Partial<WrittenLayer>): NonNullable<Fault['chain']> => ({ layers: [first, { ...second, ...change }] })

const anything: Fault['options'] = () => ({ allowUnknownLayers: true, referenceValues: [] })

const openDice = (change: (parts: Parameters<typeof openDiceExtension>[0]) => Uint8Array): NonNullable<Fault['chain']> => ({
  profile: 'open-dice',
  // 0 is the attestation key, 1 the last CDI certificate.
  change: at(1, exchange(extensionOid.openDiceInput, change({ codeHash: new Uint8Array(64).fill(0x44) }))),
})

// The composite device id of RIoT: [0] { identifier, { version, key, { hash, digest } } }.
const riot = der(
  0x30,
  der(
    0xa0,
    derOid('2.23.133.5.4.1'),
    der(0x30, derInteger(1), der(0x30), der(0x30, derOid('2.16.840.1.101.3.4.2.1'), derOctets(new Uint8Array(32)))),
  ),
)

/** What is wrong with what the device says of its layers. */
export const claimFaults: readonly Fault[] = [
  { name: 'the syntax of RIoT in the place of TcbInfo', fails: ['CLAIMS'], chain: { change: at(0, exchange(extensionOid.tcbInfo, riot)) } },
  {
    name: 'TcbInfo that is none',
    fails: ['CLAIMS'],
    chain: { change: at(0, exchange(extensionOid.tcbInfo, derOctets(new Uint8Array(2)))) },
  },
  {
    name: 'a hash of the code of 63 bytes',
    fails: ['CLAIMS'],
    chain: openDice((input) => openDiceExtension({ ...input, codeHash: new Uint8Array(63).fill(0x44) }).value),
  },
  { name: 'a chain of Open DICE', fails: [], chain: { profile: 'open-dice' } },
  {
    name: 'a mode as INTEGER, as the text of Open DICE has it',
    fails: [],
    chain: openDice((input) => openDiceExtension({ ...input, modeTag: 0x02 }).value),
  },
  { name: 'a CDI certificate as leaf', fails: ['LEAF_KEY_USAGE'], chain: { profile: 'open-dice', cdiLeaf: true } },
  {
    name: 'a CDI certificate as leaf, which is allowed',
    fails: [],
    chain: { profile: 'open-dice', cdiLeaf: true },
    options: () => ({ allowCdiLeaf: true }),
  },
  {
    name: 'a hash that is not that of the configuration descriptor',
    fails: ['CONFIG_DESCRIPTOR'],
    chain: openDice((input) => openDiceExtension({ ...input, configDescriptor: new Uint8Array(3), configHash: new Uint8Array(64) }).value),
  },
  {
    name: 'nothing that is measured',
    fails: ['MEASURED'],
    chain: { layers: [{ layer: 1, vendor: 'example' }, { layer: 2 }] },
    options: anything,
  },
  {
    name: 'a digest by SHA-1',
    fails: ['DIGEST_ALGORITHM'],
    chain: other({ fwids: [{ hashAlg: 'sha1', digest: '22'.repeat(20) }] }),
    options: anything,
  },
  {
    name: 'a digest of the wrong length',
    fails: ['DIGEST_LENGTH'],
    chain: other({ fwids: [{ hashAlg: 'sha256', digest: '22'.repeat(31) }] }),
    options: anything,
  },
  {
    name: 'the right digest by another algorithm',
    fails: ['DIGEST_LENGTH', 'REFERENCE_VALUE'],
    chain: other({ fwids: [{ hashAlg: 'sha384', digest: '22'.repeat(32) }] }),
  },
  {
    name: 'firmware that nobody knows',
    fails: ['REFERENCE_VALUE'],
    chain: other({ fwids: [{ hashAlg: 'sha256', digest: '99'.repeat(32) }] }),
  },
  {
    name: 'a digest more than is known',
    fails: ['REFERENCE_VALUE'],
    chain: other({ fwids: [...(second.fwids ?? []), { hashAlg: 'sha256', digest: '99'.repeat(32) }] }),
  },
  { name: 'another vendor', fails: ['REFERENCE_VALUE'], chain: other({ vendor: 'somebody' }) },
  {
    name: 'a layer more than is known',
    fails: ['REFERENCE_VALUE'],
    chain: { layers: [first, second, { layer: 3, fwids: first.fwids ?? [] }] },
  },
  {
    name: 'a layer that is required and not there',
    fails: ['REQUIRED_LAYER'],
    options: () => ({ required: [{ layer: 1 }, { layer: 3 }] }),
  },
  { name: 'a security version below the minimum', fails: ['SVN_MINIMUM'], chain: other({ svn: 4 }) },
  {
    name: 'no security version where there is a minimum',
    fails: ['SVN_MINIMUM'],
    chain: { layers: [first, Object.fromEntries(Object.entries(second).filter(([name]) => name !== 'svn'))] },
  },
  { name: 'a negative security version', fails: ['SVN_NEGATIVE'], chain: other({ svn: -1 }), options: anything },
  {
    name: 'a security version below the one that was shown before',
    fails: ['SVN_REMEMBERED'],
    before: { layers: [first, { ...second, svn: 9 }] },
    options: anything,
  },
  {
    name: 'an Android security version below the one that was shown before',
    fails: ['SVN_REMEMBERED'],
    chain: { profile: 'open-dice', layers: goodOpenDiceLayers.map((layer) => ({ ...layer, svn: 1 })) },
    before: { profile: 'open-dice', layers: goodOpenDiceLayers.map((layer) => ({ ...layer, svn: 2 })) },
    options: anything,
  },
  { name: 'a layer that can be debugged', fails: ['MODE_DEBUG'], chain: other({ modes: ['debug'] }) },
  { name: 'a layer that is not secure', fails: ['MODE_NOT_SECURE'], chain: other({ modes: ['notSecure'] }) },
  { name: 'a layer that is not configured', fails: ['MODE_NOT_CONFIGURED'], chain: other({ modes: ['notConfigured'] }) },
  { name: 'a layer in recovery, at confirmation', fails: ['MODE_RECOVERY'], chain: other({ modes: ['recovery'] }) },
  { name: 'a layer in recovery, before an update', fails: [], chain: other({ modes: ['recovery'] }), asked: { purpose: 'admit' } },
  { name: 'a mask that leaves debug out', fails: ['MODE_DEBUG'], chain: other({ maskBits: [0, 1, 2, 31] }) },
  {
    name: 'flags of fixed width with their mask, as Caliptra has them',
    fails: [],
    chain: other({ flagBits: [31], maskBits: [0, 1, 3, 31] }),
  },
  { name: 'Open DICE in debug mode', fails: ['MODE_DEBUG'], chain: openDice((input) => openDiceExtension({ ...input, mode: 2 }).value) },
  {
    name: 'Open DICE in no mode',
    fails: ['MODE_NOT_CONFIGURED'],
    chain: openDice((input) => openDiceExtension({ ...input, mode: 0 }).value),
  },
  {
    name: 'Open DICE in an unknown mode',
    fails: ['MODE_NOT_CONFIGURED'],
    chain: openDice((input) => openDiceExtension({ ...input, mode: 7 }).value),
  },
]
