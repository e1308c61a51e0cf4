import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { collect, type Descriptor } from '@reflash/core'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { pushArtifact } from '../../src/artifact.ts'
import { cosignVerifier } from '../../src/cosign/cosign-verifier.ts'
import { encryptKey, generateKeyPair, openKey } from '../../src/cosign/key-file.ts'
import { signArtifact } from '../../src/cosign/sign-artifact.ts'
import type { SigningKey } from '../../src/cosign/signing-key.ts'
import { ociRegistry } from '../../src/oci-registry.ts'
import { contextOf, ecKey, edKey, rsaKey, utf8 } from '../cosign/scene.ts'
import { type DockerRegistry, peersAreHere, startDockerRegistry } from '../docker-registry.ts'
import { temporaryFolder } from '../temporary-folder.ts'

/** cosign 2 by `.ci/interop`; cosign 3, which still reads and writes the legacy layout, where somebody has built it. */
const cosigns = [
  ['cosign 2', 'REFLASH_PEER_COSIGN', 'github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5'],
  ['cosign 3', 'REFLASH_PEER_COSIGN_3', 'github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3'],
] as const

const password = 'correct horse'
const registry = ociRegistry()
const registryIsHere = peersAreHere('docker-registry')
let docker: DockerRegistry
let artifacts = 0

beforeAll(async () => {
  if (registryIsHere) docker = await startDockerRegistry()
})

afterAll(async () => {
  await registry.close()
  if (registryIsHere) await docker.stop()
})

function executableOf(variable: string, source: string): string | undefined {
  const path = process.env[variable]
  if (path !== undefined && existsSync(path)) return path
  const message = `SKIPPED: expected the path of cosign in ${variable}, found ${path ?? 'none'}; build it with: go install ${source}`
  if (process.env.CI && variable === 'REFLASH_PEER_COSIGN') throw new Error(message)
  console.warn(message)
  return undefined
}

/** An artifact (or an index of two) in a repository of its own. */
async function artifact(
  images = 1,
  content = `unlike ${artifacts}`,
): Promise<{ readonly repository: string; readonly reference: string; readonly root: Descriptor }> {
  const repository = `${docker.host}/fw/app${++artifacts}`
  const platforms = ['esp32', 'esp32s3'].slice(0, images)
  const files = platforms.map((architecture) => ({
    title: `${architecture}.bin`,
    bytes: utf8(`image for ${architecture}, ${content}`),
    platform: { os: 'custom', architecture },
  }))
  const { root } = await pushArtifact(registry, `${repository}:1.0.0`, files, { created: new Date('2026-01-01T00:00:00Z') })
  return { repository, reference: `${repository}@${root.digest}`, root }
}

/** What our verifier says: `passed`, or the code of the first check that did not. */
async function judge(
  { repository, reference, root }: Awaited<ReturnType<typeof artifact>>,
  keys: readonly string[],
  threshold = 1,
): Promise<string> {
  const { checks } = await cosignVerifier({ keys, threshold }).verify({ repository, reference, root, manifest: root }, contextOf(registry))
  return checks.find(({ status }) => status === 'failed' || status === 'inconclusive')?.name ?? 'passed'
}

interface Files {
  readonly folder: string
  readonly privateKey: string
  readonly publicKey: string
  readonly publicKeyPem: string
}

/** Key files on disk, encrypted by us. */
async function keyFiles(key: ReturnType<typeof ecKey>): Promise<Files & { readonly key: SigningKey }> {
  const folder = temporaryFolder()
  const pem = await encryptKey(key.export({ type: 'pkcs8', format: 'der' }), password)
  const opened = await openKey(pem, password)
  const files = { folder, privateKey: join(folder, 'cosign.key'), publicKey: join(folder, 'cosign.pub'), publicKeyPem: opened.publicKeyPem }
  writeFileSync(files.privateKey, pem)
  writeFileSync(files.publicKey, opened.publicKeyPem)
  return { ...files, key: opened }
}

describe.each(cosigns)('%s', (_, variable, source) => {
  const executable = executableOf(variable, source) ?? ''
  const isHere = registryIsHere && executable !== ''

  /** Runs cosign without the services of sigstore.dev, and says whether it succeeded. */
  function cosign(folder: string, ...args: readonly string[]): Promise<{ readonly ok: boolean; readonly output: string }> {
    return new Promise((resolve, reject) => {
      const env = { ...process.env, COSIGN_PASSWORD: password, COSIGN_YES: 'true', HOME: folder }
      const child = spawn(executable, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
      onTestFinished(() => void child.kill('SIGKILL'))
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
      child.on('error', reject)
      child.on('close', (code) => resolve({ ok: code === 0, output }))
    })
  }

  const isThree = variable.endsWith('_3')
  const sign = (files: Files, reference: string, ...options: readonly string[]) => {
    const legacy = isThree ? ['--new-bundle-format=false', '--use-signing-config=false'] : []
    return cosign(files.folder, 'sign', '--key', files.privateKey, '--tlog-upload=false', ...legacy, ...options, reference)
  }
  const verify = (files: Files, reference: string, ...options: readonly string[]) =>
    cosign(files.folder, 'verify', '--key', files.publicKey, '--insecure-ignore-tlog=true', ...options, reference)

  test.runIf(isHere)('makes key files that we open, and reads those that we make', async () => {
    const folder = temporaryFolder()
    expect(await cosign(folder, 'generate-key-pair')).toMatchObject({ ok: true })
    const theirs = await openKey(readFileSync(join(folder, 'cosign.key'), 'utf8'), password)
    expect(theirs.publicKeyPem).toBe(readFileSync(join(folder, 'cosign.pub'), 'utf8'))
    await expect(openKey(readFileSync(join(folder, 'cosign.key'), 'utf8'), 'wrong')).rejects.toMatchObject({ code: 'KEY_PASSWORD_WRONG' })

    const ours = await generateKeyPair(password)
    writeFileSync(join(folder, 'ours.key'), ours.privateKeyPem)
    const shown = await cosign(folder, 'public-key', '--key', 'ours.key')
    expect(shown.output).toContain(ours.publicKeyPem.trim())
  })

  test.runIf(isHere).each([
    ['P-256', () => ecKey('P-256'), 1],
    ['P-256, of an index', () => ecKey('P-256'), 2],
    ['RSA', () => rsaKey(2048), 1],
    ['P-384', () => ecKey('P-384'), 1],
    ['P-521', () => ecKey('P-521'), 1],
    ['Ed25519', edKey, 1],
  ])('verifies what we sign with %s, and refuses another key', async (_kind, make, images) => {
    const [files, other] = [await keyFiles(make()), await keyFiles(ecKey('P-256'))]
    const made = await artifact(images)
    await signArtifact(registry, made.reference, files.key)
    const verified = await verify(files, made.reference)
    expect(verified, verified.output).toMatchObject({ ok: true })
    expect(verified.output).toContain(made.root.digest)
    expect(await verify(other, made.reference)).toMatchObject({ ok: false })
  })

  test.runIf(isHere).each([
    ['P-256', () => ecKey('P-256'), 1],
    ['P-256, of an index', () => ecKey('P-256'), 2],
    ['RSA', () => rsaKey(2048), 1],
    // Signed with SHA-384 and SHA-512, for which cosign's own verify needs an option.
    ['P-384', () => ecKey('P-384'), 1],
    ['P-521', () => ecKey('P-521'), 1],
  ])('signs with %s from a key file of ours, and we verify it', async (_kind, make, images) => {
    const [files, other] = [await keyFiles(make()), await keyFiles(ecKey('P-256'))]
    const made = await artifact(images)
    const signed = await sign(files, made.reference)
    expect(signed, signed.output).toMatchObject({ ok: true })
    expect(await judge(made, [files.publicKeyPem])).toBe('passed')
    expect(await judge(made, [other.publicKeyPem])).toBe('SIGNATURE_OTHER_KEY')
  })

  test.runIf(isHere)('signs with Ed25519ph, which neither its own verify nor we accept', async () => {
    const files = await keyFiles(edKey())
    const made = await artifact()
    expect(await sign(files, made.reference)).toMatchObject({ ok: true })
    expect(await verify(files, made.reference)).toMatchObject({ ok: false })
    expect(await judge(made, [files.publicKeyPem])).not.toBe('passed')
  })

  test.runIf(isHere)('and we sign one artifact in turn, and every signature stays good for both', async () => {
    const [first, second, third] = [await keyFiles(ecKey('P-256')), await keyFiles(ecKey('P-256')), await keyFiles(ecKey('P-256'))] as const
    const signers = [first, second, third]
    const made = await artifact()
    await signArtifact(registry, made.reference, first.key)
    expect(await sign(second, made.reference, '-a', 'stage=<qa> & more')).toMatchObject({ ok: true })
    await signArtifact(registry, made.reference, third.key)
    expect(
      await judge(
        made,
        signers.map(({ publicKeyPem }) => publicKeyPem),
        3,
      ),
    ).toBe('passed')
    for (const files of signers) expect(await verify(files, made.reference)).toMatchObject({ ok: true })
    // Each knows the other's form: the same claims signed again add nothing.
    expect(await sign(first, made.reference)).toMatchObject({ ok: true })
    const { reference, added } = await signArtifact(registry, made.reference, third.key)
    expect(added).toBe(false)
    const { layers } = JSON.parse(await readManifest(made.repository, reference.slice(reference.lastIndexOf(':'))))
    expect(layers.length).toBe(3)
  })

  test.runIf(isHere)('writes the same payload, config and manifest as we do, but for the signature', async () => {
    const files = await keyFiles(ecKey('P-256'))
    const [one, two] = [await artifact(1, 'same'), await artifact(1, 'same')]
    expect(one.root.digest).toBe(two.root.digest)
    await sign(files, one.reference)
    const { reference } = await signArtifact(registry, two.reference, files.key, { dockerReference: one.repository })
    const tag = reference.slice(reference.lastIndexOf(':'))
    expect(await readManifest(two.repository, tag)).toBe(await readManifest(one.repository, tag))
  })
})

/** The text of a manifest with its signatures blotted out. */
async function readManifest(repository: string, tag: string): Promise<string> {
  const bytes = await collect(await registry.fetch(repository, await registry.resolve(`${repository}${tag}`)), 65_536)
  return new TextDecoder().decode(bytes).replace(/("dev\.cosignproject\.cosign\/signature":)"[^"]*"/g, '$1""')
}
