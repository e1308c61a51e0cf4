import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildSwu, testSigner } from '@reflash/target-swupdate/testing'
import { describe, expect, it } from 'vitest'
import { runReflash, sayReflash, temporaryFolder } from '../testing/run-reflash.ts'
import { sampleImage, sampleImageFile } from '../testing/sample-image.ts'

const env = { COSIGN_PASSWORD: 'tr0ub4dor' }

describe('the way of a release, typed as the README shows it', () => {
  it('goes from keygen over push, sign, verify and inspect to pull', { timeout: 120_000 }, async () => {
    const cwd = await temporaryFolder()
    await sampleImageFile(cwd, 's3.bin', 'esp32s3')
    await sampleImageFile(cwd, 'c3.bin', 'esp32c3')
    const reflash = async (...args: string[]) => {
      const ran = await runReflash(args, { cwd, env })
      expect(`${ran.stdout}${ran.stderr}`).not.toContain(env.COSIGN_PASSWORD)
      return ran
    }
    const json = async (...args: string[]) => {
      const ran = await reflash(...args, '--json')
      return { ...ran, document: JSON.parse(ran.stdout) }
    }

    const keys = await reflash('keygen', '--output-key-prefix', 'cosign')
    expect(keys).toMatchObject({ exitCode: 0, stderr: '' })
    expect((await stat(join(cwd, 'cosign.key'))).mode & 0o777).toBe(0o600)
    expect(await readFile(join(cwd, 'cosign.key'), 'utf8')).toMatch(/^-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n/)
    expect(await readFile(join(cwd, 'cosign.pub'), 'utf8')).toMatch(/^-----BEGIN PUBLIC KEY-----\n/)

    const pushed = await json('push', 'oci:rel:v1.0.0', 's3.bin', 'c3.bin', '--product', 'lamp', '--annotation', 'org.example.team=a=b')
    expect(pushed).toMatchObject({ exitCode: 0, document: { version: '1.0.0', platforms: ['custom/esp32s3', 'custom/esp32c3'] } })
    const { digest } = pushed.document

    const before = await json('verify', 'oci:rel:v1.0.0', '--key', 'cosign.pub')
    expect(before).toMatchObject({
      exitCode: 3,
      document: { verified: false, digest, error: { code: 'NOT_VERIFIED', fault: 'rejected', because: [{ code: 'SIGNATURE_NOT_FOUND' }] } },
    })

    expect(await json('sign', 'oci:rel:v1.0.0', '--key', 'cosign.key')).toMatchObject({ exitCode: 0, document: { digest, added: true } })
    expect(await json('sign', `oci:rel@${digest}`, '--key', 'cosign.key')).toMatchObject({ exitCode: 0, document: { added: false } })

    const verified = await json('verify', '--key', 'cosign.pub', 'oci:rel:v1.0.0')
    expect(verified).toMatchObject({
      exitCode: 0,
      document: {
        verified: true,
        digest,
        covers: 'root',
        version: '1.0.0',
        product: 'lamp',
        platforms: ['custom/esp32s3', 'custom/esp32c3'],
      },
    })

    const inspected = await json('inspect', 'oci:rel:v1.0.0')
    expect(inspected.document).toMatchObject({
      kind: 'index',
      annotations: { 'org.opencontainers.image.version': '1.0.0', 'dev.reflash.product': 'lamp', 'org.example.team': 'a=b' },
      signatures: [{ of: digest, count: 1 }],
      images: [
        {
          platform: 'custom/esp32s3',
          annotations: { 'dev.reflash.platform': 'custom/esp32s3' },
          image: { kind: 'esp32-app', problems: [] },
        },
        { platform: 'custom/esp32c3', image: { chip: 'esp32c3' } },
      ],
    })

    const pulled = await json('pull', 'oci:rel:v1.0.0', '--platform', 'esp32c3', '-o', 'out.bin')
    expect(pulled).toMatchObject({ exitCode: 0, document: { file: 'out.bin', platform: 'custom/esp32c3' } })
    expect(new Uint8Array(await readFile(join(cwd, 'out.bin')))).toEqual(sampleImage('esp32c3'))
    const file = await json('inspect', 'out.bin')
    expect(file.document).toMatchObject({
      file: 'out.bin',
      chip: 'esp32c3',
      sizeBytes: pulled.document.sizeBytes,
      crc32: pulled.document.crc32,
    })
    expect(await readdir(cwd)).toEqual(['c3.bin', 'cosign.key', 'cosign.pub', 'out.bin', 'rel', 's3.bin'])
  })

  it('says at verify which other key or artifact a signature belongs to', async () => {
    const folder = await temporaryFolder()
    const at = (name: string) => join(folder, name)
    const reference = `oci:${at('rel')}:1.0.0`
    const say = (...args: string[]) => sayReflash(args, { env })
    await say('keygen', '--output-key-prefix', at('mine'))
    await say('keygen', '--output-key-prefix', at('other'))
    await say('push', reference, await sampleImageFile(folder, 'a.bin'))
    await say('sign', reference, '--key', at('other.key'))
    const refused = await say('verify', reference, '--key', at('mine.pub'))
    expect(refused).toMatchObject({ exitCode: 3 })
    expect(refused.stdout).toMatch(/^NOT verified: oci:/m)
    expect(refused.stdout).toMatch(/^ {2}failed +SIGNATURE_OTHER_KEY: /m)
    expect(await say('verify', reference, '--key', at('mine.pub'), '--key', at('other.pub'))).toMatchObject({ exitCode: 0 })
  })
})

describe('inspect of a file', () => {
  it('has the fields that scripts rely on', async () => {
    const folder = await temporaryFolder()
    const path = await sampleImageFile(folder, 'fw.bin')
    const { stdout, exitCode } = await runReflash(['inspect', path, '--json'])
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'esp32-app',
      chip: 'esp32s3',
      sizeBytes: expect.any(Number),
      crc32: expect.any(Number),
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      projectName: 'sample',
      appVersion: '0.1',
      idfVersion: 'v5.4',
      secureVersion: 0,
      segments: [{}, {}],
      problems: [],
    })
  })

  it('says of an update for SWUpdate what is in it, in a file and in a release', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'gate.swu')
    const { sign } = testSigner()
    const swu = buildSwu({ version: '1.1.0', image: new Uint8Array(1000).fill(7), hardware: ['gate:1.0'], sign })
    await writeFile(path, swu)
    const facts = {
      kind: 'swu',
      sizeBytes: swu.length,
      sha256: createHash('sha256').update(swu).digest('hex'),
      version: '1.1.0',
      hardware: ['gate:1.0'],
      isSigned: true,
      images: [{ filename: 'image.bin', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      problems: [],
    }
    expect(JSON.parse((await sayReflash(['inspect', path, '--json'])).stdout)).toEqual({ file: path, ...facts })
    expect((await sayReflash(['inspect', path])).stdout).toMatch(
      /kind +swu\n.*\n.*\n +version +"1\.1\.0"\n +hardware +"gate:1\.0"\n +signed +yes/,
    )
    const reference = `oci:${join(folder, 'gates')}:1.1.0`
    expect(await sayReflash(['push', reference, `${path}@linux/arm64`])).toMatchObject({ exitCode: 0 })
    expect(JSON.parse((await sayReflash(['inspect', reference, '--json'])).stdout).images[0].image).toEqual(facts)
  })

  it('says of a damaged update for SWUpdate what is wrong, and hashes it to its end', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'gate.swu')
    const swu = buildSwu({ version: '1.1.0', image: new Uint8Array(300_000).fill(7) })
    swu[2_000] = 8
    await writeFile(path, swu)
    const ran = await sayReflash(['inspect', path, '--json'])
    expect(JSON.parse(ran.stdout)).toMatchObject({
      kind: 'swu',
      sizeBytes: swu.length,
      sha256: createHash('sha256').update(swu).digest('hex'),
      problems: [{ code: 'SWU_CHECKSUM' }],
    })
  })

  it('says of what is no image what it is', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'x')
    await writeFile(path, 'hello')
    const { stdout, exitCode } = await runReflash(['inspect', path, '--json'])
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      kind: 'unknown',
      sizeBytes: 5,
      problems: [{ code: 'IMAGE_UNKNOWN', message: expect.any(String) }],
    })
  })

  it('takes a path that exists for a file, also where it reads like a reference', async () => {
    const cwd = await temporaryFolder()
    await mkdir(join(cwd, 'localhost'))
    await sampleImageFile(join(cwd, 'localhost'), 'fw:1.0.0')
    const { stdout } = await runReflash(['inspect', 'localhost/fw:1.0.0'], { cwd })
    expect(stdout).toContain('esp32-app')
  })
})
