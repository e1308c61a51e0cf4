import { fail } from '../esp32-errors.ts'
import type { Chip } from '../image/chips.ts'
import type { RomConversation } from './rom-conversation.ts'
import { romCommands, words } from './rom-protocol.ts'

/** The registers of the SPI controller that flash hangs on: where they begin, and how far behind lie those whose place differs. */
interface SpiRegisters {
  readonly base: number
  readonly user: number
  readonly inLength: number
  readonly data: number
}

const later = { user: 0x18, inLength: 0x28, data: 0x58 } as const

/** From the technical reference manuals; of the other chips `flashBytes` has to be said. */
const registers: Readonly<Partial<Record<Chip['name'], SpiRegisters>>> = {
  esp32: { base: 0x3ff4_2000, user: 0x1c, inLength: 0x2c, data: 0x80 },
  esp32s2: { base: 0x3f40_2000, ...later },
  esp32s3: { base: 0x6000_2000, ...later },
  esp32c2: { base: 0x6000_2000, ...later },
  esp32c3: { base: 0x6000_2000, ...later },
  esp32c5: { base: 0x6000_3000, ...later },
  esp32c6: { base: 0x6000_3000, ...later },
  esp32c61: { base: 0x6000_3000, ...later },
  esp32h2: { base: 0x6000_3000, ...later },
  esp32h21: { base: 0x6000_3000, ...later },
}

/** JEDEC: reads manufacturer, kind and size. */
const readId = 0x9f
const polls = 10

/**
 * Asks the flash itself how large it is, by RDID through the SPI controller.
 * @throws `FLASH_SIZE_UNKNOWN`, and what the conversation throws
 */
export async function flashSize({ name }: Chip, rom: RomConversation, signal: AbortSignal): Promise<number> {
  const spi = registers[name]
  if (spi === undefined) throw fail('FLASH_SIZE_UNKNOWN', `expected \`flashBytes\` for ${name}, whose flash cannot be asked, found none`)
  const read = async (offset: number) =>
    (await rom.ask({ command: romCommands.readRegister, data: words(spi.base + offset) }, { signal })).value
  const write = (offset: number, value: number) =>
    rom.ask({ command: romCommands.writeRegister, data: words(spi.base + offset, value >>> 0, 0xffff_ffff, 0) }, { signal })
  const [user, command] = [await read(spi.user), await read(spi.user + 8)]
  await write(spi.inLength, 24 - 1)
  // Sends a command, and takes in what comes.
  await write(spi.user, 0x9000_0000)
  await write(spi.user + 8, 0x7000_0000 | readId)
  await write(spi.data, 0)
  await write(0, 1 << 18)
  for (let poll = 0; ((await read(0)) & (1 << 18)) !== 0; poll++) {
    if (poll === polls) throw fail('FLASH_SIZE_UNKNOWN', 'expected that the flash answers, found that it does not; say `flashBytes`')
  }
  const id = await read(spi.data)
  await write(spi.user, user)
  await write(spi.user + 8, command)
  const power = (id >> 16) & 0xff
  // 256 KiB to 128 MiB; 0x20 to 0x22 continue the row where some makers have left it.
  const exponent = power >= 0x20 && power <= 0x22 ? power - 0x20 + 26 : power
  if (exponent < 18 || exponent > 27) {
    throw fail('FLASH_SIZE_UNKNOWN', `expected the id of a flash, found 0x${(id & 0xff_ffff).toString(16)}; say \`flashBytes\``)
  }
  return 2 ** exponent
}
