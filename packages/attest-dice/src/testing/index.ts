export { type BrokenChain, brokenChains } from './broken-chains.ts'
export { type DiceKey, diceKey } from './device-key.ts'
export { type DiceDevice, type DiceDeviceOptions, diceDevice } from './dice-device.ts'
export { goodLayers, goodOpenDiceLayers, goodReferenceValues } from './good-layers.ts'
export type { CertificateParts, WrittenExtension } from './issue-certificate.ts'
export {
  type ChainLayer,
  type ChainOptions,
  evidenceOf,
  type IssuedChain,
  issueChain,
  type ProofChallenge,
  pemOf,
  signWith,
} from './issue-chain.ts'
export type { WrittenLayer } from './write-claims.ts'
