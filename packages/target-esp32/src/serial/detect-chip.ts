import { isOtaError } from '@reflash/core'
import { fail } from '../esp32-errors.ts'
import { type Chip, chipById, chipByName } from '../image/chips.ts'
import type { RomConversation } from './rom-conversation.ts'
import { parseSecurityInfo, romCommands, type SecurityInfo, securityInfoBytes, words } from './rom-protocol.ts'

/** A register in the ROM of every chip that cannot say its id, with a value for each. */
const magicRegister = 0x4000_1000
const magics: Readonly<Record<number, string>> = { 15736195: 'esp32', 1990: 'esp32s2', 4293968129: 'esp8266' }

/** A chip at the end of a line, and what it says of itself. */
export interface DetectedChip {
  readonly chip: Chip
  /** Undefined of the first ESP32, whose ROM cannot say. */
  readonly security: SecurityInfo | undefined
}

/**
 * Asks the chip what it is: its id where its ROM says it, else its magic number.
 * @throws `CHIP_NOT_SUPPORTED`, `CHIP_LOCKED`, and what the conversation throws
 */
export async function detectChip(rom: RomConversation, signal: AbortSignal): Promise<DetectedChip> {
  const security = await securityOf(rom, signal)
  if (security?.secureDownload === true) {
    throw fail(
      'CHIP_LOCKED',
      'expected a chip whose flash can be read over the cable, found one in Secure Download Mode, which reads nothing back',
    )
  }
  if (security?.flashEncrypted === true) {
    throw fail(
      'CHIP_LOCKED',
      'expected a chip that stores what it is sent, found one with flash encryption, which would store plain text that it cannot start',
    )
  }
  if (security?.chipId !== undefined) {
    const chip = chipById(security.chipId)
    if (chip === undefined)
      throw fail('CHIP_NOT_SUPPORTED', `expected a chip of the ESP32 family that is known, found the chip id ${security.chipId}`)
    return { chip, security }
  }
  const { value } = await rom.ask({ command: romCommands.readRegister, data: words(magicRegister) }, { signal })
  const name = magics[value]
  const chip = chipByName(name ?? '')
  if (chip === undefined) {
    throw fail('CHIP_NOT_SUPPORTED', `expected a chip of the ESP32 family, found ${name ?? `the magic number 0x${value.toString(16)}`}`)
  }
  return { chip, security }
}

async function securityOf(rom: RomConversation, signal: AbortSignal): Promise<SecurityInfo | undefined> {
  try {
    const { data } = await rom.ask({ command: romCommands.securityInfo }, { signal, dataBytes: securityInfoBytes })
    return parseSecurityInfo(data)
  } catch (error) {
    if (isOtaError(error) && error.code === 'ROM_REFUSED') return undefined
    throw error
  }
}
