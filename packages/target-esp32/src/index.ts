export type { Esp32Attributes } from './device-attributes.ts'
export { esp32Errors } from './esp32-errors.ts'
export type { Esp32Plan } from './esp32-plan.ts'
export { type Esp32TargetOptions, esp32Target } from './esp32-target.ts'
export { bootOrder, updateSlot } from './flash/boot-order.ts'
export {
  activeEntry,
  encodeOtadataEntry,
  type Otadata,
  type OtadataChange,
  type OtadataEntry,
  type OtaState,
  parseOtadataEntry,
  selectSlot,
  slotOfSequence,
} from './flash/otadata.ts'
export {
  encodePartitionTable,
  otaSlots,
  type Partition,
  type PartitionTable,
  parsePartitionTable,
  type TableOptions,
} from './flash/partition-table.ts'
export { factoryAndTwoOtaTable, type TwoOtaOptions, twoOtaTable } from './flash/standard-tables.ts'
export type { AppDescription } from './image/app-description.ts'
export { type BuildOptions, buildImage, type SegmentSource } from './image/build-image.ts'
export type { ImageKind, Problem } from './image/check-image.ts'
export { type Chip, type ChipName, chipById, chipByName, chipOfModel, chips } from './image/chips.ts'
export type { FlashMode } from './image/image-header.ts'
export { type ImageReport, type InspectOptions, inspectImage, inspectLimitBytes } from './image/inspect-image.ts'
export type { ImageSegment } from './image/parse-image.ts'
export type { SecureBootSignature } from './image/signature-sector.ts'
export { controlLines, noControlLines, type ResetSequence, type Wait } from './serial/reset-sequence.ts'
export type { RomTimes } from './serial/rom-conversation.ts'
export type { SerialFlashPort } from './serial/serial-flash-port.ts'
export type { LineListener, OpenLine, SerialLine } from './serial/serial-line.ts'
export { type SerialConnection, type SerialTransport, type SerialTransportOptions, serialTransport } from './serial/serial-transport.ts'
