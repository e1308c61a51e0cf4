import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { fail } from '../esp32-errors.ts'
import { expectFlashSize, type NorFlash, norFlashOver } from './nor-flash.ts'

/**
 * Opens a flash that is kept in a file across runs; a new file is erased flash. The file holds every byte inverted, so that the holes of a
 * sparse file, which read as zeros, are erased flash and cost no disk. Writes are in the file, though not forced to disk, when they return.
 * @throws `VIRTUAL_FLASH` where the file has another size or cannot be opened
 */
export function openFlashFile(path: string, sizeBytes: number = 4 * 1024 * 1024): NorFlash {
  expectFlashSize(sizeBytes)
  const file = open(path, sizeBytes)
  const put = (offset: number, bytes: Uint8Array): void => {
    writeSync(
      file,
      bytes.map((byte) => byte ^ 0xff),
      0,
      bytes.length,
      offset,
    )
  }
  const get = (offset: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(length)
    readSync(file, bytes, 0, length, offset)
    for (let index = 0; index < length; index++) bytes[index] = (bytes[index] as number) ^ 0xff
    return bytes
  }
  return norFlashOver(
    {
      get,
      put,
      // A hole stays one: what is erased already is not written.
      blank: (offset, length) => {
        if (!get(offset, length).every((byte) => byte === 0xff)) put(offset, new Uint8Array(length).fill(0xff))
      },
      close: () => closeSync(file),
    },
    sizeBytes,
  )
}

function open(path: string, sizeBytes: number): number {
  try {
    const file = openSync(path, 'a+')
    closeSync(file)
    const writable = openSync(path, 'r+')
    const { size } = fstatSync(writable)
    if (size === 0) ftruncateSync(writable, sizeBytes)
    else if (size !== sizeBytes) {
      closeSync(writable)
      throw fail('VIRTUAL_FLASH', `${path}: expected a flash of ${sizeBytes} bytes, found ${size}`)
    }
    return writable
  } catch (cause) {
    if (cause instanceof Error && 'syscall' in cause) {
      throw fail('VIRTUAL_FLASH', `${path}: expected a file that can be read and written, found ${cause.message}`, { cause })
    }
    throw cause
  }
}
