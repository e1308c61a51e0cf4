import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import type { Cli } from '../src/cli.ts'
import { outputOn } from '../src/output.ts'
import { keyPassword, secretFromStdin } from '../src/secret.ts'

function cliWith({ env = {}, isTTY = false }: { env?: Record<string, string>; isTTY?: boolean }) {
  const stdin = new PassThrough()
  const raw: boolean[] = []
  let shown = ''
  const stderr = {
    write: (text: string) => {
      shown += text
    },
  }
  const controller = new AbortController()
  const cli: Cli = {
    env,
    stdin: Object.assign(stdin, { isTTY, setRawMode: (on: boolean) => void raw.push(on) }),
    stderr,
    output: outputOn({ stdout: stderr, stderr, json: false, debug: false }),
    signal: controller.signal,
    now: () => new Date(0),
  }
  return { cli, stdin, raw, controller, shown: () => shown }
}

describe('the password of a key', () => {
  it('comes from COSIGN_PASSWORD, also where that is empty', async () => {
    await expect(keyPassword(cliWith({ env: { COSIGN_PASSWORD: 'x' } }).cli, 'k')).resolves.toBe('x')
    await expect(keyPassword(cliWith({ env: { COSIGN_PASSWORD: '' } }).cli, 'k')).resolves.toBe('')
  })

  it('is refused where there is neither the variable nor a terminal', async () => {
    await expect(keyPassword(cliWith({}).cli, 'cosign.key')).rejects.toMatchObject({
      code: 'PASSWORD_NEEDED',
      message: 'expected the password of cosign.key in COSIGN_PASSWORD (it may be empty), found neither that variable nor a terminal',
    })
  })

  it('is typed without echo, and what was erased does not count', async () => {
    const { cli, stdin, raw, shown } = cliWith({ isTTY: true })
    const password = keyPassword(cli, 'cosign.key')
    stdin.write('wrong\u0015sx\u007fé')
    stdin.write('cret\r')
    await expect(password).resolves.toBe('sécret')
    expect(raw).toEqual([true, false])
    expect(shown()).toBe('Password of cosign.key: \n')
  })

  it('is asked twice for a new key', async () => {
    const { cli, stdin } = cliWith({ isTTY: true })
    const password = keyPassword(cli, 'cosign.key', { confirm: true })
    stdin.write('one\r')
    setImmediate(() => stdin.write('two\r'))
    await expect(password).rejects.toMatchObject({ code: 'PASSWORD_MISMATCH' })
  })

  it('is given up by Ctrl-C, which raw mode delivers as a character, and by the signal', async () => {
    const typed = cliWith({ isTTY: true })
    const first = keyPassword(typed.cli, 'k')
    typed.stdin.write('abc\u0003')
    await expect(first).rejects.toMatchObject({ fault: 'aborted' })
    expect(typed.raw).toEqual([true, false])
    const signalled = cliWith({ isTTY: true })
    const second = keyPassword(signalled.cli, 'k')
    signalled.controller.abort(new Error('stop'))
    await expect(second).rejects.toThrow('stop')
    expect(signalled.raw).toEqual([true, false])
  })
})

describe('--password-stdin', () => {
  it('takes all of stdin without its last line break', async () => {
    const { cli, stdin } = cliWith({})
    stdin.end('pa ss\r\n')
    await expect(secretFromStdin(cli)).resolves.toBe('pa ss')
  })

  it('refuses an empty stdin, and one that does not end', async () => {
    const empty = cliWith({})
    empty.stdin.end('\n')
    await expect(secretFromStdin(empty.cli)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('found nothing') })
    const endless = cliWith({})
    endless.stdin.end('x'.repeat(5000))
    await expect(secretFromStdin(endless.cli)).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('found more') })
  })
})
