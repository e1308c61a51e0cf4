import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nativeClient } from '@reflash/transport-http/client'
import { describe, expect, it, vi } from 'vitest'
import { releases, serveFleet } from '../fleet/served-fleet.ts'
import { sayReflash, startReflash, temporaryFolder } from '../testing/run-reflash.ts'

describe('rollout and device', () => {
  it('make, explain, watch, pause, resume and abort a deployment, in words and in JSON', { timeout: 60_000 }, async () => {
    const folder = await temporaryFolder()
    await releases(folder)
    const server = await serveFleet(folder, 'server')
    const tokenFile = join(folder, 'token')
    writeFileSync(tokenFile, 'operator-token\n')
    const access = ['--server', server.managementUrl, '--token-file', tokenFile]
    const say = (...args: string[]) => sayReflash([...args, ...access])
    const json = async (...args: string[]) => {
      const { stdout, exitCode } = await say(...args, '--json')
      return { exitCode, document: JSON.parse(stdout) as Record<string, never> }
    }
    const client = nativeClient({ server: server.url, deviceId: 'd1' })
    const checkIn = () => client.checkIn({ model: 'esp32c3', installed: { version: '1.0.0', state: 'confirmed' } })
    expect((await checkIn()).because[0]?.code).toBe('NO_DEPLOYMENT')

    expect(await say('device', 'label', 'd1', '--set', 'site=berlin')).toMatchObject({
      exitCode: 0,
      stdout: 'd1  esp32c3  1.0.0  site=berlin\n',
    })
    expect((await say('device', 'list', '--select', 'site=berlin,paris')).stdout).toBe('d1  esp32c3  1.0.0  site=berlin\n')
    expect((await say('device', 'list', '--select', 'site=rome')).stdout).toBe('no device\n')
    expect(await json('device', 'explain', 'd1')).toMatchObject({
      exitCode: 0,
      document: { offered: false, because: [{ code: 'NO_DEPLOYMENT' }] },
    })
    expect((await say('rollout', 'show')).stdout).toBe('no deployment yet\n')

    const created = await say('rollout', 'create', 'lamp', '1.1.0', '--select', 'site=berlin', '--waves', '50,100', '--failure', '20')
    expect(created).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('lamp: running, no wave yet, brings 1.1.0') })
    const again = await json('rollout', 'create', 'lamp', '1.1.0')
    expect(again).toMatchObject({
      exitCode: 2,
      document: { error: { code: 'REQUEST_REFUSED', message: expect.stringContaining('taken') } },
    })
    const watched = startReflash(['rollout', 'watch', 'lamp', '--every-ms', '100', ...access])
    await watched.seen(/wave 1 of 2 \(50 %\)/)
    // What a check-in knows of deployments may be a little older than what operators see.
    await vi.waitFor(async () => expect((await checkIn()).offer?.version).toBe('1.1.0'), { timeout: 20_000, interval: 100 })
    expect((await say('device', 'explain', 'd1')).stdout).toContain('UNDER_WAY')
    expect((await say('rollout', 'show', 'lamp')).stdout).toContain('waits for  WAVE_OPEN: 0 of 1 needed devices are confirmed')
    expect((await say('rollout', 'pause', 'lamp')).stdout).toContain('lamp: paused')
    expect(await watched.ended).toMatchObject({ exitCode: 3, stdout: expect.stringContaining('ann has paused it') })
    expect((await say('rollout', 'resume', 'lamp')).stdout).toContain('lamp: running')
    expect((await json('rollout', 'abort', 'lamp')).document).toMatchObject({ state: 'aborted', counters: { offered: 1 } })
    expect(await say('rollout', 'pause', 'lamp')).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('DEPLOYMENT_STATE') })
    const { document } = await json('rollout', 'show', 'lamp')
    expect(document).toMatchObject({
      audit: [{ by: 'ann', action: 'abort' }, { action: 'resume' }, { action: 'pause' }, { action: 'start' }, {}],
    })

    const stranger = await sayReflash(['rollout', 'show', '--server', server.managementUrl], { env: { REFLASH_TOKEN: 'guessed-it' } })
    expect(stranger).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('SERVER_REFUSED') })
    expect(stranger.stderr).not.toContain('guessed-it')
    expect(stranger.stderr).toContain('what to do: Look at the token')
    expect((await say('rollout', 'show', 'lamb')).stderr).toContain(
      'what to do: `reflash rollout show` without an id lists the deployments.',
    )
    const elsewhere = await sayReflash(['rollout', 'show', '--server', server.url, '--token-file', tokenFile])
    expect(elsewhere).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('devices and operators have one each') })
    client.close()
    server.child.kill('SIGTERM')
    const { exitCode, stderr } = await server.ended
    expect(exitCode).toBe(0)
    expect(stderr).not.toMatch(/operator-token|guessed-it/)
  })

  it.each([
    [['rollout', 'show'], 'expected your token in --token-file or in REFLASH_TOKEN, found neither'],
    [['rollout', 'create', 'a', '1.0.0', '--waves', '0,100'], 'expected percents above 0 and up to 100'],
    [['rollout', 'create', 'a', '1.0.0', '--select', 'site'], 'expected <label>=<value>'],
    [['device', 'label', 'd1', '--set', '=x'], 'expected <label>=<value>'],
    [['device', '--once'], "required option '--server <url>' not specified"],
    [['serve', '--management', '127.0.0.1:0'], 'expected --management and --management-tokens together'],
    [['serve', '--management', '127.0.0.1:0', '--management-tokens', 'x'], 'expected --rollout beside it'],
  ])('refuse %j', async (args, message) => {
    const env = args.includes('show') ? {} : { REFLASH_TOKEN: 'a-token' }
    expect(await sayReflash(args, { env })).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(message) })
  })

  it('refuse a password in the URL of a store, and do not repeat it', async () => {
    const serve = ['serve', '--repository', 'oci:x', '--allow-unsigned', '--allow-anonymous', '--store']
    for (const url of ['postgres://ota:hunter2@127.0.0.1/x', 'postgres://ota@127.0.0.1/x?password=hunter2']) {
      const { exitCode, stdout, stderr } = await sayReflash([...serve, url])
      expect(exitCode).toBe(2)
      expect(stderr).toContain('PGPASSWORD')
      expect(stdout + stderr).not.toContain('hunter2')
    }
  })
})
