import { describe, expect, it } from 'vitest'
import { parseFileArgument } from '../../src/push/file-argument.ts'

const parse = (text: string, ...files: string[]) => parseFileArgument(text, async (path) => files.includes(path))

describe('<file>[@<platform>]', () => {
  it.each([
    ['fw.bin', { path: 'fw.bin' }],
    ['fw.bin@esp32s3', { path: 'fw.bin', platform: { os: 'custom', architecture: 'esp32s3' } }],
    ['fw.bin@custom/esp32s3', { path: 'fw.bin', platform: { os: 'custom', architecture: 'esp32s3' } }],
    ['root.img@linux/arm64/v8', { path: 'root.img', platform: { os: 'linux', architecture: 'arm64', variant: 'v8' } }],
    ['a@b.bin@esp32', { path: 'a@b.bin', platform: { os: 'custom', architecture: 'esp32' } }],
    ['fw.bin@', { path: 'fw.bin@' }],
    ['fw.bin@a/b/c/d', { path: 'fw.bin@a/b/c/d' }],
    ['@esp32', { path: '@esp32' }],
  ])('%s is read', async (text, expected) => {
    expect(await parse(text)).toEqual(expected)
  })

  it('is a file as it stands where one has the whole name', async () => {
    expect(await parse('fw@esp32', 'fw@esp32', 'fw')).toEqual({ path: 'fw@esp32' })
    expect(await parse('fw@esp32@esp32c3', 'fw@esp32')).toEqual({ path: 'fw@esp32', platform: { os: 'custom', architecture: 'esp32c3' } })
  })
})
