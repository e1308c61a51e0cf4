import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { generateKeyPair } from '@reflash/registry-oci'
import { buildSwu } from '@reflash/target-swupdate/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runReflash, sayReflash, startReflash } from '../testing/run-reflash.ts'
import { sampleImage, sampleImageFile } from '../testing/sample-image.ts'

// One folder for all: every case here is refused, and none may leave anything behind.
const folder = mkdtempSync(join(tmpdir(), 'reflash-wrong-'))
const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const at = (name: string) => join(folder, name)
const env = { COSIGN_PASSWORD: 'pw' }

afterAll(() => rmSync(folder, { recursive: true, force: true }))

beforeAll(async () => {
  await sampleImageFile(folder, 's3.bin', 'esp32s3')
  await sampleImageFile(folder, 's3-too.bin', 'esp32s3', 2)
  await sampleImageFile(folder, 'c3.bin', 'esp32c3')
  const broken = sampleImage('esp32s3')
  broken[100] = (broken[100] ?? 0) ^ 1
  await writeFile(at('broken.bin'), broken)
  await writeFile(at('text.txt'), 'hello')
  await writeFile(at('empty.bin'), '')
  const swu = buildSwu({ version: '3.0.0', image: new Uint8Array(10_000).fill(5) })
  await writeFile(at('good.swu'), swu)
  await writeFile(at('cut.swu'), swu.subarray(0, 5_000))
  swu[5_000] = 6
  await writeFile(at('changed.swu'), swu)
  await mkdir(at('folder'))
  const { privateKeyPem, publicKeyPem } = await generateKeyPair('pw')
  await writeFile(at('k.key'), privateKeyPem)
  await writeFile(at('k.pub'), publicKeyPem)
  const two = await sayReflash(['push', `oci:${at('rel')}:1.0.0`, at('s3.bin'), at('c3.bin')])
  const one = await sayReflash(['push', `oci:${at('rel')}:2.0.0`, at('s3.bin')])
  expect([two.exitCode, one.exitCode]).toEqual([0, 0])
})

const reference = (tag: string) => `oci:${at('rel')}:${tag}`

describe('a file of tokens in the place of a configuration', () => {
  it('is refused without a word of what is in it', async () => {
    await writeFile(at('tokens'), 'lamp-1 s3cret\n')
    const { stdout, stderr, exitCode } = await runReflash(['serve', '--config', at('tokens'), '--json'])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('CONFIG_UNREADABLE')
    expect(stdout + stderr).not.toContain('s3cret')
  })
})

describe('a command line that is wrong', () => {
  it.each<[readonly string[], string, RegExp]>([
    [[], 'USAGE', /expected a command, found none/],
    [['psuh\u001b[2J\n'], 'USAGE', /unknown command 'psuh\\u001b\[2J\\u000a'/],
    [['push'.repeat(500)], 'USAGE', /unknown command .{970,1000}…/],
    [['--username', 'verify'], 'USAGE', /unknown option '--username'; options go behind the command$/m],
    [['psuh'], 'USAGE', /unknown command 'psuh'; did you mean push\?/],
    [['push'], 'USAGE', /missing required argument 'reference'/],
    [['push', reference('3.0.0')], 'USAGE', /missing required argument 'file\[@platform\]'/],
    [['push', reference('3.0.0'), at('s3.bin'), '--prodct', 'x'], 'USAGE', /unknown option '--prodct'; did you mean --product\?/],
    [['push', reference('3.0.0'), at('s3.bin'), '--annotation', 'novalue'], 'USAGE', /expected key=value/],
    [['push', reference('3.0.0'), at('s3.bin'), '--annotation', 'dev.reflash.product=x'], 'USAGE', /use --product/],
    [['push', reference('3.0.0'), at('s3.bin'), '--username', 'u'], 'USAGE', /expected --username and --password-stdin together/],
    [
      ['push', reference('3.0.0'), at('s3.bin'), '--username', 'u', '--password-stdin'],
      'USAGE',
      /expected a password on stdin, found nothing/,
    ],
    [['push', reference('latest'), at('s3.bin')], 'VERSION_MISSING', /found the tag "latest"/],
    [['push', `oci:${at('rel')}`, at('s3.bin')], 'INVALID_REFERENCE', /expected <repository>:<tag> to push to/],
    [['push', `oci:${at('rel')}@sha256:${'a'.repeat(64)}`, at('s3.bin')], 'USAGE', /found a digest/],
    [['push', 'nothing', at('s3.bin')], 'INVALID_REFERENCE', /the repository is missing/],
    [['push', reference('3.0.0'), at('no.bin')], 'FILE_NOT_FOUND', /expected an image at .*no\.bin, found nothing there/],
    [['push', reference('3.0.0'), at('no.bin@esp32s3')], 'FILE_NOT_FOUND', /expected an image at .*no\.bin, found nothing there/],
    [['push', reference('3.0.0'), at('folder')], 'FILE_NOT_READABLE', /found a folder/],
    [['push', reference('3.0.0'), at('text.txt')], 'PLATFORM_NEEDED', /expected <file>@<platform>/],
    [['push', reference('3.0.0'), at('text.txt@esp32')], 'IMAGE_REFUSED', /found unknown with IMAGE_UNKNOWN/],
    [['push', reference('3.0.0'), at('empty.bin@linux/arm64')], 'IMAGE_REFUSED', /found an empty file/],
    [['push', reference('3.0.0'), at('broken.bin')], 'IMAGE_REFUSED', /IMAGE_CHECKSUM/],
    [['push', reference('3.0.0'), at('good.swu')], 'PLATFORM_NEEDED', /expected <file>@<platform>/],
    [['push', reference('3.0.0'), at('changed.swu@linux/arm64')], 'SWU_CHECKSUM', /changed\.swu: "image\.bin": expected bytes that add up/],
    [['push', reference('3.0.0'), at('cut.swu@linux/arm64')], 'SWU_CUT', /cut\.swu: expected the archive to go on/],
    [
      ['push', reference('3.0.0'), at('s3.bin@esp32c3')],
      'PLATFORM_MISMATCH',
      /expected an image for custom\/esp32c3, found one for custom\/esp32s3/,
    ],
    [['push', reference('3.0.0'), at('s3.bin@linux/arm64')], 'PLATFORM_MISMATCH', /expected an image for linux\/arm64/],
    [
      ['push', reference('3.0.0'), at('s3.bin'), at('s3-too.bin')],
      'INVALID_ARTIFACT',
      /expected one file for custom\/esp32s3, found s3\.bin and s3-too\.bin/,
    ],
    [['sign', reference('1.0.0')], 'USAGE', /required option '--key <file>' not specified/],
    [['sign', reference('1.0.0'), '--key', at('no.key')], 'FILE_NOT_FOUND', /expected a private key at/],
    [['sign', reference('1.0.0'), '--key', at('k.pub')], 'KEY_FILE_INVALID', /expected a private key file/],
    [['sign', reference('9.9.9'), '--key', at('k.key')], 'NOT_FOUND', /9\.9\.9/],
    [['verify', reference('1.0.0')], 'USAGE', /required option '--key <file>' not specified/],
    [['verify', reference('1.0.0'), '--key', at('text.txt')], 'PUBLIC_KEY_INVALID', /./],
    [['verify', `oci:${at('rel')}`, '--key', at('k.pub')], 'USAGE', /expected a tag or a digest, found none/],
    [['pull', reference('1.0.0')], 'USAGE', /required option '-o, --output <file>' not specified/],
    [['pull', reference('1.0.0'), '-o', at('out')], 'PLATFORM_NEEDED', /candidates: custom\/esp32s3, custom\/esp32c3/],
    [
      ['pull', reference('1.0.0'), '--platform', 'esp32', '-o', at('out')],
      'PLATFORM_NOT_FOUND',
      /candidates: custom\/esp32s3, custom\/esp32c3/,
    ],
    [['pull', reference('1.0.0'), '--platform', 'a/b/c/d', '-o', at('out')], 'INVALID_PLATFORM', /found "a\/b\/c\/d"/],
    [
      ['pull', reference('2.0.0'), '--platform', 'esp32c3', '-o', at('out')],
      'PLATFORM_MISMATCH',
      /expected an image for custom\/esp32c3, found one for custom\/esp32s3/,
    ],
    [['pull', reference('2.0.0'), '-o', at('no/out')], 'FILE_NOT_FOUND', /expected the folder/],
    [['pull', reference('2.0.0'), '-o', at('folder')], 'FILE_NOT_WRITABLE', /it is a folder/],
    [['inspect', at('no.bin')], 'FILE_NOT_FOUND', /expected a file or a reference at/],
    [['inspect', 'no.bin'], 'FILE_NOT_FOUND', /expected a file or a reference at no\.bin/],
    [['inspect', `oci:${at('folder')}:1`], 'INVALID_LAYOUT', /./],
    [['inspect', at('folder')], 'FILE_NOT_READABLE', /found a folder$/m],
    [['inspect', at('rel')], 'FILE_NOT_READABLE', /found a folder; it is an image layout: write oci:.*rel and a tag/],
    [['push', `oci:${at('s3.bin')}:1.0.0`, at('s3.bin')], 'INVALID_LAYOUT', /s3\.bin/],
    [
      ['device', '--server', 'http://127.0.0.1:1', '--id', 'd1', '--chip', 'esp32s3', '--state', at('s3.bin')],
      'FILE_NOT_WRITABLE',
      /expected a folder at .*s3\.bin, found a file/,
    ],
    [['rollout', 'create'], 'USAGE', /what to do: Read reflash rollout create --help\./],
    [['device', 'explain'], 'USAGE', /what to do: Read reflash device explain --help\./],
    [['attest', 'verify'], 'USAGE', /what to do: Read reflash attest verify --help\./],
    [['keygen', '--output-key-prefix', at('k')], 'FILE_EXISTS', /expected no file at .*k\.key, found one/],
    [['keygen', '--output-key-prefix', `${folder}/`], 'USAGE', /--output-key-prefix: expected a path/],
    [['keygen', '--output-key-prefix', at('no/k')], 'FILE_NOT_FOUND', /expected the folder/],
    [['keygen', 'extra'], 'USAGE', /too many arguments/],
  ])('%j ends with exit code 2 and %s', async (args, code, message) => {
    const before = await readdir(folder, { recursive: true })
    const ran = await sayReflash(args, { env })
    expect(ran.stderr).toMatch(new RegExp(`^reflash: ${code}: `, 'm'))
    expect(ran.stderr).toMatch(message)
    expect(ran.stderr).toMatch(/^ {2}what to do: \S/m)
    expect(ran.exitCode).toBe(2)
    expect(ran.stdout).toBe('')
    expect(await readdir(folder, { recursive: true })).toEqual(before)
  })

  it('is one JSON document on stdout with --json', async () => {
    const { stdout, exitCode } = await sayReflash(['pull', reference('1.0.0'), '--json', '--nonsense'])
    expect(exitCode).toBe(2)
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: 'USAGE',
        fault: 'invalid',
        message: "unknown option '--nonsense'",
        because: [{ code: 'USAGE', message: "unknown option '--nonsense'" }],
      },
    })
  })

  it('is refused for a password that cannot be asked for', async () => {
    const ran = await sayReflash(['sign', reference('1.0.0'), '--key', at('k.key')])
    expect(ran).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('PASSWORD_NEEDED') })
  })

  it('never repeats a password that is wrong', async () => {
    const ran = await sayReflash(['sign', reference('1.0.0'), '--key', at('k.key')], { env: { COSIGN_PASSWORD: 'wrong horse' } })
    expect(ran).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('KEY_PASSWORD_WRONG') })
    expect(ran.stderr).not.toContain('wrong horse')
  })

  it('gives a registry that does not answer exit code 4', async () => {
    // Nothing listens on port 1 of loopback; asked once, because `verify` has no reason to wait here.
    const ran = await sayReflash(['inspect', '127.0.0.1:1/a/b:1.0.0'])
    expect(ran).toMatchObject({ exitCode: 4 })
  })

  it('names the server that does not answer', async () => {
    const ran = await sayReflash(['rollout', 'show', '--server', 'http://127.0.0.1:1'], { env: { REFLASH_TOKEN: 'a-token' } })
    expect(ran).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('expected an answer of http://127.0.0.1:1, found ECONNREFUSED'),
    })
  })
})

describe('what --force does', () => {
  it('pushes an image for a platform that is not its own, and says so', async () => {
    const ran = await sayReflash(['push', `oci:${at('forced')}:1.0.0`, at('s3.bin@esp32c3'), '--force'])
    expect(ran).toMatchObject({ exitCode: 0, stderr: expect.stringMatching(/^reflash: --force overrules: .*custom\/esp32c3/) })
  })

  it('replaces keys', async () => {
    const before = await sayReflash(['keygen', '--output-key-prefix', at('twice')], { env })
    const after = await sayReflash(['keygen', '--output-key-prefix', at('twice'), '--force'], { env })
    expect([before.exitCode, after.exitCode]).toEqual([0, 0])
  })
})

describe('keygen with an empty password', () => {
  it('warns that the file alone is enough to sign', async () => {
    const ran = await sayReflash(['keygen', '--output-key-prefix', at('open')], { env: { COSIGN_PASSWORD: '' } })
    expect(ran).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('empty password') })
    const signed = await sayReflash(['sign', reference('2.0.0'), '--key', at('open.key')], { env: { COSIGN_PASSWORD: '' } })
    expect(signed.exitCode).toBe(0)
  })
})

describe('the real process', () => {
  it('says at its start that the journal cannot be used, before a device learns of it', async () => {
    const open = ['--repository', 'oci:none', '--allow-unsigned', '--allow-anonymous', '--listen', '127.0.0.1:0']
    const server = startReflash(['serve', ...open, '--state', at('s3.bin')])
    await server.seen(/"warn".*no device is served until the journal can be used: [A-Z_]+: .*s3\.bin/)
    await server.seen(/listening on/)
  })

  it('says in one line that its output cannot be written', async () => {
    const full = openSync('/dev/full', 'w')
    const child = spawn(process.execPath, ['--conditions=@reflash/source', main, 'inspect', at('s3.bin')], {
      stdio: ['pipe', full, 'pipe'],
    })
    const [text, [exitCode]] = await Promise.all([(child.stderr as Readable).toArray(), once(child, 'close')])
    closeSync(full)
    expect(exitCode).toBe(2)
    expect(Buffer.concat(text).toString()).toMatch(/^reflash: FILE_NOT_WRITABLE: stdout cannot be written: ENOSPC\n {2}what to do: .*\n$/)
  })

  it('ends with the exit code of the fault', async () => {
    expect(await runReflash(['psuh'])).toMatchObject({ exitCode: 2, stdout: '' })
    expect(await runReflash(['--version'])).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: '' })
  })
})
