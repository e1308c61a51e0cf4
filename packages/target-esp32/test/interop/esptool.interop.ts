import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildImage, type ChipName, chips, type ImageReport, inspectImage } from '../../src/index.ts'
import { demoImage } from '../../src/testing/index.ts'
import { vectorTable } from '../support/vector-table.ts'
import { vector, vectorFolder } from '../support/vectors.ts'

/*
 * The vectors, and images of our own builder, through Espressif's `esptool image-info` (written against esptool 5.6.0), and what it says
 * compared with what we say: image or none, chip, entry point, segments, checksum, hash, flash settings, versions, revisions.
 * REFLASH_PEER_ESPTOOL names the executable, or REFLASH_PEERS a folder with venv/bin/esptool or bin/esptool.
 */
const install = 'python3 -m venv $REFLASH_PEERS/venv && $REFLASH_PEERS/venv/bin/pip install esptool==5.6.0'
const esptool = findEsptool()
const folder = vectorFolder()

function findEsptool(): string | undefined {
  const peers = process.env.REFLASH_PEERS
  const named = process.env.REFLASH_PEER_ESPTOOL
  const candidates = [
    ...(named === undefined ? [] : [named]),
    ...(peers === undefined ? [] : ['venv/bin/esptool', 'bin/esptool'].map((path) => join(peers, path))),
  ]
  const found = candidates.find((path) => existsSync(path))
  if (found === undefined)
    console.warn(`skipped: no esptool in REFLASH_PEER_ESPTOOL (${named ?? 'not set'}) or REFLASH_PEERS (${peers ?? 'not set'}): ${install}`)
  return found
}

/** Files that esptool and we judge differently, and why both are right. */
const explained: Readonly<Record<string, string>> = {
  'esptool-test/images/not_4_byte_aligned.bin': 'esptool reads ESP8266 images too; we name them and stop',
  'wled/esp32-c3_bootloader_v2.bin':
    'esptool reads the bootloader at the start of the dump; we see the partition table behind it and call it a dump',
}

interface Told {
  readonly isImage: boolean
  readonly text: string
  line(pattern: RegExp): string | undefined
}

async function ask(path: string): Promise<Told> {
  const told = await promisify(execFile)(esptool as string, ['image-info', path], {
    env: { ...process.env, NO_COLOR: '1', COLUMNS: '200' },
  }).catch((error: { stdout?: string; stderr?: string }) => error)
  const text = `${told.stdout ?? ''}${told.stderr ?? ''}`
  expect(text).toMatch(/^esptool v/)
  return {
    isImage: text.includes('Detected image type'),
    text,
    line: (pattern) => pattern.exec(text)?.[1],
  }
}

function expectAgreement(report: ImageReport, told: Told): void {
  const number = (pattern: RegExp): number => Number(told.line(pattern))
  const full = (pattern: RegExp): number => {
    const [major, minor] = (told.line(pattern) ?? '').split('.').map(Number)
    return (major ?? Number.NaN) * 100 + (minor ?? Number.NaN)
  }
  expect(number(/Chip ID: (\d+)/)).toBe(report.chipId)
  expect(
    told
      .line(/Detected image type: (\S+)/)
      ?.toLowerCase()
      .replace('-', ''),
  ).toBe(report.chip)
  expect(number(/Entry point: (0x[0-9a-f]+)/)).toBe(report.entryPoint)
  expect(number(/Image size: (\d+)/)).toBe(report.sizeBytes)

  // esptool names the offset of the segment's header, 8 bytes before its data.
  const rows = [...told.text.matchAll(/^ +\d+ {2}(0x[0-9a-f]+) {2}(0x[0-9a-f]+) {2}(0x[0-9a-f]+)/gm)]
  expect(rows.map(([, length, address, offset]) => [Number(length), Number(address), Number(offset) + 8])).toEqual(
    report.segments.map(({ lengthBytes, loadAddress, offset }) => [lengthBytes, loadAddress, offset]),
  )

  const { checksum, hash } = report
  expect(told.line(/Checksum: (0x[0-9a-f]+)/)).toBe(checksum?.found)
  expect(told.line(/Checksum: 0x[0-9a-f]+ \((\w+)/)).toBe(checksum?.found === checksum?.expected ? 'valid' : 'invalid')
  // esptool prints the hash as it should be, and says whether the stored one is that.
  expect(told.line(/Validation hash: ([0-9a-f]+)/)).toBe(hash?.expected)
  expect(told.line(/Validation hash: [0-9a-f]+ \((\w+)\)/)).toBe(
    hash === undefined ? undefined : hash.found === hash.expected ? 'valid' : 'invalid',
  )

  expect(number(/Flash size: (\d+)MB/)).toBe((report.flashSizeBytes as number) / 1024 / 1024)
  expect(number(/Flash freq: (\d+)m/)).toBe(report.flashMHz)
  expect(told.line(/Flash mode: (\w+)/)?.toLowerCase()).toBe(report.flashMode)

  // The one-byte field of older toolchains, where the two-byte field is not set, and 655.35 or 0 for any.
  const legacy = number(/legacy min_rev = (\d+)/)
  const min = full(/Minimal chip revision: v(\d+\.\d+)/)
  expect(min === 0 ? (report.chip === 'esp32' ? legacy * 100 : legacy) : min).toBe(report.minChipRevision)
  const max = full(/Maximal chip revision: v(\d+\.\d+)/)
  expect(max === 0 || max === 65_535 ? undefined : max).toBe(report.maxChipRevision)

  expect(told.line(/Project name: (.*)/)).toBe(report.projectName)
  expect(told.line(/App version: (.*)/)).toBe(report.appVersion)
  if (report.kind === 'esp32-app') {
    expect(told.line(/ESP-IDF: (.*)/)).toBe(report.idfVersion)
    expect(told.line(/ELF file SHA256: (\w+)/)).toBe(report.elfSha256)
    expect(number(/Secure version: (\d+)/)).toBe(report.secureVersion)
  }
}

describe.skipIf(esptool === undefined || folder === undefined)('esptool image-info', () => {
  it.concurrent.for(Object.keys(vectorTable))('says of %s what we say', { timeout: 60_000 }, async (name) => {
    const report = await inspectImage(vector(folder as string, name))
    const told = await ask(join(folder as string, name))
    const isImage = report.kind === 'esp32-app' || report.kind === 'esp32-bootloader' || report.kind === 'esp32-ram-program'
    if (explained[name] !== undefined) {
      // An explanation that is no longer needed is to be taken out.
      expect(told.isImage).not.toBe(isImage)
      return
    }
    expect(told.isImage).toBe(isImage)
    if (isImage) expectAgreement(report, told)
  })

  describe('of images that we built', () => {
    let own = ''
    beforeAll(async () => {
      own = await mkdtemp(join(tmpdir(), 'reflash-esptool-'))
      return () => rm(own, { recursive: true })
    })

    it.concurrent.for(chips.map(({ name }) => name))('for %s says what we put in', { timeout: 60_000 }, async (chip: ChipName) => {
      const image = demoImage({ chip, version: '1.2.3', secureVersion: 2, sizeBytes: 4096, minChipRevision: 1, maxChipRevision: 399 })
      const path = join(own, `${chip}.bin`)
      await writeFile(path, image)
      expectAgreement(await inspectImage(image), await ask(path))
    })

    it('without a hash says what we put in', async () => {
      const segments = [{ loadAddress: 0x3f40_0020, data: new Uint8Array(64).fill(5) }]
      const image = buildImage({
        chip: 'esp32',
        segments,
        appDescription: { version: 'x' },
        appendHash: false,
        flashMHz: 80,
        flashMode: 'qio',
      })
      const path = join(own, 'no-hash.bin')
      await writeFile(path, image)
      expectAgreement(await inspectImage(image), await ask(path))
    }, 60_000)
  })
})
