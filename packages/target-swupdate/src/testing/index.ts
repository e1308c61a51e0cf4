export { buildSwu, describeSwu, packCpio, type SwuMember, type SwuOptions } from './build-swu.ts'
export { type TestSigner, type TestSignerOptions, testSigner } from './test-signer.ts'
