import { describe, expect, it } from 'vitest'
import { serialTransport } from '../../src/index.ts'
import { encodeSlip } from '../../src/serial/slip.ts'
import { seededBytes } from '../../src/testing/index.ts'
import { quickTimes, type Spoiler, wiredRom } from '../support/wired-rom.ts'

const context = () => ({ signal: new AbortController().signal, now: new Date(0) })
const none = new Uint8Array(0)
/** A response to a command, with a body. */
const response = (command: number, body: readonly number[], length = body.length) =>
  encodeSlip(Uint8Array.of(1, command, length & 0xff, length >> 8, 0, 0, 0, 0, ...body))
const commandOf = (frame: Uint8Array): number => frame[2] as number

async function connectedTo(options: Parameters<typeof wiredRom>[0] = {}) {
  const wired = wiredRom(options)
  const connection = await serialTransport({ port: 'p', times: quickTimes ?? {}, open: wired.open }).connect({ id: 'd1' })
  return { wired, connection, port: connection.port }
}

/** Lines on which work still ends well. */
const survived: Readonly<Record<string, () => Spoiler>> = {
  'noise before every answer': () => {
    const noise = seededBytes(7)
    return { fromChip: (bytes) => [noise(50), bytes] }
  },
  'a log without an end before every answer': () => ({ fromChip: (bytes) => [new Uint8Array(5000).fill(0x41), bytes] }),
  'an echo of all that is sent': () => {
    let sent: Uint8Array = none
    return {
      toChip: (bytes) => {
        sent = bytes
        return [bytes]
      },
      fromChip: (bytes) => [sent, bytes],
    }
  },
  'answers to another command before the right one': () => ({ fromChip: (bytes) => [response(0x42, [0, 0, 0, 0]), bytes] }),
  'answers in pieces of one byte': () => ({ fromChip: (bytes) => Array.from(bytes, (byte) => Uint8Array.of(byte)) }),
  'requests in pieces of three bytes': () => ({
    toChip: (bytes) => Array.from({ length: Math.ceil(bytes.length / 3) }, (_, index) => bytes.subarray(3 * index, 3 * index + 3)),
  }),
  'an answer that is lost now and then': () => {
    let count = 0
    return { fromChip: (bytes) => (++count % 40 === 0 ? [none] : [bytes]) }
  },
  'a request that is cut now and then': () => {
    let count = 0
    return { toChip: (bytes) => [++count % 40 === 0 ? bytes.subarray(0, 9) : bytes] }
  },
  'an answer whose length is wrong, once': () => {
    let isDone = false
    return {
      fromChip: (bytes) => {
        const wrong = !isDone && commandOf(bytes) === 0x13
        isDone ||= wrong
        return [wrong ? response(0x13, [0, 0, 0, 0], 900) : bytes]
      },
    }
  },
}

/** Lines on which nothing can be done. */
const refused: Readonly<Record<string, () => Spoiler>> = {
  'never an answer': () => ({ fromChip: () => [none] }),
  'nothing but noise': () => {
    const noise = seededBytes(9)
    return { fromChip: (bytes) => [noise(bytes.length)] }
  },
  'nothing but an echo': () => {
    let sent: Uint8Array = none
    return {
      toChip: (bytes) => {
        sent = bytes
        return [bytes]
      },
      fromChip: () => [sent],
    }
  },
  'nothing but answers to another command': () => ({ fromChip: () => [response(0x42, [0, 0, 0, 0])] }),
  'nothing but answers of a wrong length': () => ({ fromChip: (bytes) => [response(commandOf(bytes), [0, 0, 0, 0], 77)] }),
  'an MD5 that is none': () => ({
    fromChip: (bytes) => (commandOf(bytes) === 0x13 ? [response(0x13, [...new Uint8Array(32).fill(0x7a), 0, 0, 0, 0])] : [bytes]),
  }),
  'an MD5 of something else, always': () => ({
    fromChip: (bytes) => (commandOf(bytes) === 0x13 ? [response(0x13, [...new Uint8Array(32).fill(0x30), 0, 0, 0, 0])] : [bytes]),
  }),
  'a refusal of everything': () => ({
    fromChip: (bytes) => (commandOf(bytes) === 8 ? [bytes] : [response(commandOf(bytes), [1, 5, 0, 0])]),
  }),
}

describe('a serial line', () => {
  it.for(Object.entries(survived))('with %s carries flash as it is', async ([, spoil]) => {
    const { wired, port, connection } = await connectedTo()
    wired.spoiler = spoil()
    const bytes = seededBytes(1)(6000)
    await port.erase(0x10_0000, 0x2000, context())
    await port.write(0x10_0000, bytes, context())
    expect(Buffer.compare(await port.read(0x10_0000, bytes.length, context()), bytes)).toBe(0)
    expect(Buffer.compare(wired.rom.device.flash.read(0x10_0000, bytes.length), bytes)).toBe(0)
    await connection[Symbol.asyncDispose]()
  })

  it.for(Object.entries(refused))('with %s ends every word with a reason, and says nothing of flash', async ([, spoil]) => {
    const { wired, port, connection } = await connectedTo()
    wired.spoiler = spoil()
    const words = [() => port.read(0, 100, context()), () => port.erase(0x10_0000, 0x1000, context())]
    for (const word of words) {
      const error = await word().catch((thrown: unknown) => thrown)
      expect(error).toMatchObject({ name: 'OtaError' })
      expect(['unavailable', 'invalid']).toContain((error as { fault: string }).fault)
    }
    wired.spoiler = {}
    expect((await port.read(0, 100, context())).length).toBe(100)
    await connection[Symbol.asyncDispose]()
  })

  it('refuses a chip in Secure Download Mode, one with flash encryption, and one that is not known', async () => {
    await expect(connectedTo({ securityFlags: 4 })).rejects.toMatchObject({ code: 'CHIP_LOCKED' })
    await expect(connectedTo({ flashCryptCount: 1 })).rejects.toMatchObject({ code: 'CHIP_LOCKED' })
    const wired = wiredRom({ chip: 'esp32' })
    wired.spoiler = { fromChip: (bytes) => [commandOf(bytes) === 0x0a ? response(0x0a, [0, 0, 0, 0]) : bytes] }
    await expect(serialTransport({ port: 'p', times: quickTimes ?? {}, open: wired.open }).connect({ id: 'd1' })).rejects.toMatchObject({
      code: 'CHIP_NOT_SUPPORTED',
    })
  })

  it('refuses a chip that is not that of the model, and is free again', async () => {
    const wired = wiredRom()
    const transport = serialTransport({ port: 'p', times: quickTimes ?? {}, open: wired.open })
    await expect(transport.connect({ id: 'd1', model: 'esp32c3' })).rejects.toMatchObject({ code: 'WRONG_CHIP' })
    await using connection = await transport.connect({ id: 'd1', model: 'esp32s3' })
    expect(connection.port.secureBoot).toBe('none')
  })
})
