import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseTokens, readTokensFile } from '../../src/serve/tokens-file.ts'
import { temporaryFolder } from '../testing/run-reflash.ts'

const hash = `sha256:${'ab'.repeat(32)}`

describe('a tokens file', () => {
  it.each([
    ['d1 secret', 'd1', 'secret'],
    ['  d1\tsecret  ', 'd1', 'secret'],
    ['a:b=c to=k:en', 'a:b=c', 'to=k:en'],
    [`d1 ${hash}`, 'd1', hash],
    ['d1=secret', 'd1', 'secret'],
    ['d1=c2VjcmV0==', 'd1', 'c2VjcmV0=='],
    ['a:b=secret', 'a:b', 'secret'],
    ['d1:secret', 'd1', 'secret'],
    ['aa:bb:cc:secret', 'aa:bb:cc', 'secret'],
    [`aa:bb:${hash}`, 'aa:bb', hash],
    [`d1=${hash}`, 'd1', hash],
    ['{"d1": "se cret"}', 'd1', 'se cret'],
  ])('%s names a device and its token', (text, id, token) => {
    expect([...parseTokens(text, 'tokens')]).toEqual([[id, token]])
  })

  it('may hold comments, empty lines and either line ending', () => {
    expect(parseTokens('# lamps\r\n\r\nd1 one\r\n# d2 old\nd2 two\n', 'tokens')).toEqual(
      new Map([
        ['d1', 'one'],
        ['d2', 'two'],
      ]),
    )
  })

  it.each([
    ['', 'expected at least one line'],
    ['# nothing', 'expected at least one line'],
    ['{}', 'expected at least one line'],
    ['d1 secret\nd2', 'line 2: expected "device-id token"'],
    ['d1 secret more', 'line 1: expected "device-id token"'],
    ['d1=', 'line 1: expected "device-id token"'],
    ['d1 secret\nd1 other', 'expected each device once, found that of line 1 again at line 2'],
    ['secret d1\nsecret d2', 'expected each device once, found that of line 1 again at line 2'],
    ['{"d1": "x", "secret": 5}', 'entry 2: expected a token as text, found a number'],
    ['{"d1": "secret"', 'expected one JSON object'],
  ])('%j is refused without quoting it', (text, message) => {
    expect(() => parseTokens(text, 'tokens')).toThrow(
      expect.objectContaining({ code: 'TOKENS_UNREADABLE', message: expect.stringContaining(message) }),
    )
    expect(() => parseTokens(text, 'tokens')).not.toThrow(/secret/)
  })

  it('says whether others can read it', async () => {
    const path = join(await temporaryFolder(), 'tokens')
    await writeFile(path, 'd1 secret')
    await chmod(path, 0o644)
    expect(await readTokensFile(path)).toMatchObject({ openToOthers: true })
    await chmod(path, 0o600)
    expect(await readTokensFile(path)).toMatchObject({ openToOthers: false, tokens: new Map([['d1', 'secret']]) })
    await expect(readTokensFile(`${path}x`)).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
  })
})
