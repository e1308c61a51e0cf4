import { describe, expect, it } from 'vitest'
import { sayReflash } from './testing/run-reflash.ts'

const commands = ['keygen', 'push', 'sign', 'verify', 'pull', 'inspect', 'flash', 'serve', 'device', 'rollout', 'attest', 'demo']

describe('--help', () => {
  it('of the program names every command and every exit code', async () => {
    const { stdout, exitCode } = await sayReflash(['--help'])
    expect(exitCode).toBe(0)
    await expect(stdout).toMatchFileSnapshot('golden/help.txt')
    for (const name of commands) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
  })

  it.each(commands)('of %s ends with examples', async (name) => {
    const { stdout, exitCode } = await sayReflash([name, '--help'])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/\nExamples:\n( {2}.*reflash .*\n)+$/)
    await expect(stdout).toMatchFileSnapshot(`golden/help-${name}.txt`)
    expect((await sayReflash(['help', name])).stdout).toBe(stdout)
  })
})
