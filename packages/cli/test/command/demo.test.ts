import { readdir } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { runReflash, startReflash, temporaryFolder } from '../testing/run-reflash.ts'

describe('demo', () => {
  it('--once shows every room, the confirmation and four refusals, and leaves nothing behind', { timeout: 120_000 }, async () => {
    const folder = await temporaryFolder()
    const { exitCode, stdout, stderr } = await runReflash(['demo', '--once'], { env: { TMPDIR: folder } })
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    const rooms = [...stdout.matchAll(/^ {2}passed {2}(\w+)/gm)].map(([, room]) => room)
    expect(rooms).toEqual(['resolve', 'verify', 'fetch', 'inspect', 'admit', 'plan', 'deliver', 'install', 'confirm'])
    expect(stdout).toMatch(/^confirmed 1\.1\.0$/m)
    const codes = [...stdout.matchAll(/^ {11}([A-Z_]+): /gm)].map(([, code]) => code)
    expect(codes).toEqual(['DIGEST_MISMATCH', 'SIGNATURE_NOT_FOUND', 'WRONG_CHIP', 'VERSION_MISMATCH'])
    expect(stdout).toMatch(/The device still runs 1\.1\.0\.\n$/)
    expect(await readdir(folder)).toEqual([])
  })

  it('stays up, answers what it says to try, and ends on Ctrl-C', { timeout: 120_000 }, async () => {
    const folder = await temporaryFolder()
    const demo = startReflash(['demo'], { env: { TMPDIR: folder } })
    const text = await demo.seen(/Ctrl-C ends it/)
    const health = /curl -s (http:\S+\/health)/.exec(text)?.[1] as string
    expect(await (await fetch(health)).json()).toMatchObject({ status: 'ok' })
    demo.child.kill('SIGINT')
    expect(await demo.ended).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await readdir(folder)).toEqual([])
  })

  it('is cleared away where Ctrl-C comes in the middle', { timeout: 120_000 }, async () => {
    const folder = await temporaryFolder()
    const demo = startReflash(['demo', '--once'], { env: { TMPDIR: folder } })
    await demo.seen(/ {2}passed {2}resolve/)
    demo.child.kill('SIGINT')
    expect(await demo.ended).toMatchObject({ exitCode: 130 })
    expect(await readdir(folder)).toEqual([])
  })
})
