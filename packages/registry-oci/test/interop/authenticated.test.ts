import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf } from '@reflash/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ociRegistry } from '../../src/index.ts'
import { type MadeCertificate, makeCertificate, signToken } from '../certificates.ts'
import { all, noise, pushSmall, read } from '../content.ts'
import { type DockerRegistry, peersAreHere, startDockerRegistry } from '../docker-registry.ts'

const here = peersAreHere('docker-registry', 'htpasswd', 'openssl')
const robot = { username: 'robot', password: 's3cret pässword' }

describe.runIf(here)('docker-registry with passwords over TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'registry-oci-tls-'))
  let peer: DockerRegistry
  let tls: MadeCertificate
  beforeAll(async () => {
    tls = makeCertificate(folder, 'registry')
    peer = await startDockerRegistry({ users: { [robot.username]: robot.password }, tls })
  })
  afterAll(async () => {
    await peer?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test('lets us push and pull with the right password, which is asked for by host', async () => {
    const asked: string[] = []
    const credentials = (host: string) => {
      asked.push(host)
      return robot
    }
    const registry = ociRegistry({ credentials, ca: tls.pem, plainHttp: false })
    const repository = `${peer.host}/secret/firmware`
    const content = noise(50_000)
    const { layer, manifest } = await pushSmall(registry, repository, content)
    await registry.tag(manifest, `${repository}:1.0.0`)
    expect(await registry.resolve(`${repository}:1.0.0`)).toEqual(manifest)
    expect(digestOf(await read(registry, repository, layer))).toBe(layer.digest)
    expect(new Set(asked)).toEqual(new Set([peer.host]))
    await registry.close()
  })

  test('denies a wrong password and none, without showing either', async () => {
    const wrong = ociRegistry({ credentials: () => ({ username: 'robot', password: 'guessed-password' }), ca: tls.pem, plainHttp: false })
    const none = ociRegistry({ ca: tls.pem, plainHttp: false })
    const reference = `${peer.host}/secret/firmware:1.0.0`
    for (const registry of [wrong, none]) {
      const error = await registry.resolve(reference).catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'REGISTRY_DENIED', fault: 'rejected' })
      expect(JSON.stringify(error)).not.toMatch(/guessed|cm9ib3Q/)
      await registry.close()
    }
  })

  test('is not talked to where its certificate is not trusted', async () => {
    const registry = ociRegistry({ plainHttp: false, credentials: () => robot })
    await expect(registry.resolve(`${peer.host}/secret/firmware:1.0.0`)).rejects.toMatchObject({
      code: 'REGISTRY_UNTRUSTED',
      fault: 'rejected',
    })
    await registry.close()
  })

  test('is told apart from a registry that speaks plain http, with a hint', async () => {
    const registry = ociRegistry({ credentials: () => robot })
    await expect(registry.resolve(`${peer.host}/secret/firmware:1.0.0`)).rejects.toThrow(/plainHttp/)
    await registry.close()
  })

  test('asks for a client certificate where it is set up to, and gets it', async () => {
    const client = makeCertificate(folder, 'client')
    const strict = await startDockerRegistry({ tls: { ...tls, clientCa: client.certificate } })
    const limits = { attempts: 1 }
    const bare = ociRegistry({ ca: tls.pem, plainHttp: false, limits })
    const known = ociRegistry({ ca: tls.pem, plainHttp: false, limits, clientCert: { cert: client.pem, key: client.keyPem } })
    try {
      await expect(bare.resolve(`${strict.host}/a:1.0.0`)).rejects.toMatchObject({ fault: 'unavailable' })
      await expect(known.resolve(`${strict.host}/a:1.0.0`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    } finally {
      await bare.close()
      await known.close()
      await strict.stop()
    }
  })
})

/** Grants what is asked for to the robot, and to nobody pulling from public/. */
function tokenServer(signer: MadeCertificate, log: string[]): Server {
  return createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://token')
    const isRobot = request.headers.authorization === `Basic ${Buffer.from(`${robot.username}:${robot.password}`).toString('base64')}`
    if (request.headers.authorization !== undefined && !isRobot) return void response.writeHead(401).end()
    const scopes = url.searchParams.getAll('scope')
    log.push(`${isRobot ? 'robot' : 'anonymous'} ${scopes.join(' + ')}`)
    const access = scopes.map((scope) => {
      const [type, name = '', actions = ''] = scope.split(':')
      const granted = actions.split(',').filter((action) => isRobot || (action === 'pull' && name.startsWith('public/')))
      return { type, name, actions: granted }
    })
    const now = Math.floor(Date.now() / 1000)
    const claims = {
      iss: 'test-issuer',
      sub: 'robot',
      aud: url.searchParams.get('service'),
      iat: now,
      nbf: now - 10,
      exp: now + 300,
      jti: `${log.length}`,
      access,
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ token: signToken(signer, claims), expires_in: 300 }))
  })
}

describe.runIf(here)('docker-registry with tokens', () => {
  const folder = mkdtempSync(join(tmpdir(), 'registry-oci-token-'))
  const log: string[] = []
  let server: Server
  let peer: DockerRegistry
  beforeAll(async () => {
    const signer = makeCertificate(folder, 'token')
    server = tokenServer(signer, log)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`
    peer = await startDockerRegistry({
      token: { realm, service: 'test-registry', issuer: 'test-issuer', rootCertificate: signer.certificate },
    })
  })
  afterAll(async () => {
    await peer?.stop()
    server?.closeAllConnections()
    server?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test('gives one token per repository and action, however many requests are made', async () => {
    const registry = ociRegistry({ credentials: () => robot })
    const repository = `${peer.host}/secret/firmware`
    log.length = 0
    const { layer, manifest } = await pushSmall(registry, repository, noise(50_000))
    await registry.tag(manifest, `${repository}:1.0.0`)
    await Promise.all(Array.from({ length: 8 }, () => read(registry, repository, layer)))
    expect(await all(registry.tags(repository))).toEqual(['1.0.0'])
    expect(log.sort()).toEqual(['robot repository:secret/firmware:pull', 'robot repository:secret/firmware:pull,push'])
    await registry.close()
  })

  test('lets anonymous clients pull what is public, and denies the rest', async () => {
    const writer = ociRegistry({ credentials: () => robot })
    const reader = ociRegistry()
    const { layer, manifest } = await pushSmall(writer, `${peer.host}/public/firmware`, noise(1000))
    await writer.tag(manifest, `${peer.host}/public/firmware:1.0.0`)
    expect(await reader.resolve(`${peer.host}/public/firmware:1.0.0`)).toEqual(manifest)
    expect(digestOf(await read(reader, `${peer.host}/public/firmware`, layer))).toBe(layer.digest)
    await expect(reader.resolve(`${peer.host}/secret/firmware:1.0.0`)).rejects.toMatchObject({ code: 'REGISTRY_DENIED' })
    await expect(pushSmall(reader, `${peer.host}/public/firmware`, noise(10))).rejects.toMatchObject({ code: 'REGISTRY_DENIED' })
    await writer.close()
    await reader.close()
  })

  test('denies wrong credentials, without showing them', async () => {
    const registry = ociRegistry({ credentials: () => ({ username: 'robot', password: 'guessed-password' }) })
    const error = await registry.resolve(`${peer.host}/secret/firmware:1.0.0`).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'REGISTRY_DENIED', fault: 'rejected' })
    expect(JSON.stringify(error)).not.toMatch(/guessed|cm9ib3Q|eyJ/)
    await registry.close()
  })
})
