import { encodePartitionTable, twoOtaTable } from '../../src/index.ts'

export { demoImage, seededBytes } from '../../src/testing/index.ts'

export const encodeTable = (): Uint8Array => encodePartitionTable(twoOtaTable())
