import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildSwu, testSigner } from '@reflash/target-swupdate/testing'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runReflash, startReflash, temporaryFolder } from '../packages/cli/test/testing/run-reflash.ts'
import { hasSwupdate } from './swupdate/has-swupdate.ts'
import { swupdateDevice } from './swupdate/swupdate-device.ts'

const signer = testSigner({ name: 'updates' })
const [own, shared] = ['token-of-gate-1-0123456789abcdef', 'token-of-the-gateway-0123456789abc']

describe.runIf(hasSwupdate())("Debian's swupdate, served from the command line", () => {
  test('takes an update with its own token or the gateway token, and confirms after its restart', { timeout: 120_000 }, async () => {
    const cwd = await temporaryFolder()
    const at = (name: string): string => join(cwd, name)
    // One update for both: its partition is a file in the folder that each runs in.
    const image = randomBytes(100_000)
    const reflash = async (...args: readonly string[]) => {
      const ran = await runReflash(args, { cwd, env: { COSIGN_PASSWORD: 'secret' } })
      expect(ran, `${args.join(' ')}: ${ran.stderr}${ran.stdout}`).toMatchObject({ exitCode: 0 })
    }
    writeFileSync(at('updates.crt'), signer.certificate)
    writeFileSync(at('tokens'), `gate-1 ${own}\n`, { mode: 0o600 })
    writeFileSync(at('gateway'), `${shared}\n`, { mode: 0o600 })
    writeFileSync(at('gate.swu'), buildSwu({ version: '1.1.0', image, device: 'partition.img', sign: signer.sign }))
    await reflash('keygen')
    await reflash('push', 'oci:gates:1.1.0', 'gate.swu@linux/arm64', '--product', 'gate')
    await reflash('sign', 'oci:gates:1.1.0', '--key', 'cosign.key')
    const server = startReflash(
      [
        ...[
          'serve',
          '--repository',
          'oci:gates',
          '--key',
          'cosign.pub',
          '--product',
          'gate',
          '--listen',
          '127.0.0.1:0',
          '--poll-ms',
          '1000',
        ],
        ...['--swupdate', 'gate', '--swu-signer', 'updates.crt', '--swu-platform', 'linux/arm64'],
        ...['--tokens', 'tokens', '--gateway-token', 'gateway', '--state', 'state'],
      ],
      { cwd },
    )
    const url = /listening on (http:\S+)/.exec(await server.seen(/listening on \S+\n/))?.[1] as string
    const devices = [
      swupdateDevice({ server: url, id: 'gate-1', token: own, certificate: signer.certificate, hardware: 'gate:1.0', tells: true }),
      swupdateDevice({
        server: url,
        id: 'gate-2',
        token: shared,
        shared: true,
        certificate: signer.certificate,
        hardware: 'gate:1.0',
        tells: true,
      }),
    ]
    onTestFinished(() => Promise.all(devices.map((device) => device[Symbol.asyncDispose]())).then(() => undefined))
    const said = (id: string, what: string): RegExp => new RegExp(`"device ${what}".*"deviceId":"${id}"`)
    await Promise.all(
      devices.map(async (device, index) => {
        const id = `gate-${index + 1}`
        device.start()
        await server.seen(said(id, 'install passed'))
        expect(readFileSync(device.at('partition.img')).equals(image)).toBe(true)
        await device.stop()
        device.start(true)
        await server.seen(said(id, 'confirm passed'))
      }),
    )
    server.child.kill('SIGTERM')
    const { exitCode, stdout, stderr } = await server.ended
    expect(exitCode).toBe(0)
    expect(stdout + stderr).not.toMatch(/token-of-/)
  })
})
