import { OtaError } from '@reflash/core'
import type { Cli, TextSource } from './cli.ts'
import { fail } from './cli-errors.ts'

/** Characters; nobody types more, and a runaway pipe must not fill memory. */
const secretLimit = 4096

const variable = 'COSIGN_PASSWORD'

/**
 * The password of a signing key: from COSIGN_PASSWORD, where it may be empty, else typed on the terminal without echo.
 * `confirm` asks twice: for a new key, a slip of the finger would lock it for ever.
 * @throws `PASSWORD_NEEDED`, `PASSWORD_MISMATCH`, `ABORTED`
 */
export async function keyPassword(cli: Cli, what: string, { confirm = false } = {}): Promise<string> {
  const given = cli.env[variable]
  if (given !== undefined) return given
  if (cli.stdin.isTTY !== true || cli.stdin.setRawMode === undefined) {
    throw fail(
      'PASSWORD_NEEDED',
      `expected the password of ${what} in ${variable} (it may be empty), found neither that variable nor a terminal`,
    )
  }
  const password = await ask(cli, `Password of ${what}: `)
  if (confirm && (await ask(cli, 'Again: ')) !== password) {
    throw fail('PASSWORD_MISMATCH', `expected the same password twice for ${what}, found two different ones`)
  }
  return password
}

/**
 * All of stdin without its last line break: what --password-stdin reads.
 * @throws `USAGE` where nothing comes
 */
export async function secretFromStdin(cli: Cli): Promise<string> {
  if (cli.stdin.isTTY === true) return ask(cli, 'Registry password: ')
  let text = ''
  for await (const chunk of cli.stdin) {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8')
    if (text.length > secretLimit) throw fail('USAGE', `--password-stdin: expected at most ${secretLimit} characters on stdin, found more`)
  }
  const secret = text.replace(/\r?\n$/, '')
  if (secret === '') throw fail('USAGE', '--password-stdin: expected a password on stdin, found nothing')
  return secret
}

/** Reads a line in raw mode, so that the terminal echoes nothing. Raw mode also takes Ctrl-C: it comes as a character. */
async function ask({ stdin, stderr, signal }: Cli, prompt: string): Promise<string> {
  signal.throwIfAborted()
  stderr.write(prompt)
  stdin.setRawMode?.(true)
  try {
    return await typed(stdin, signal)
  } finally {
    stdin.setRawMode?.(false)
    stdin.pause()
    stderr.write('\n')
  }
}

function typed(stdin: TextSource, signal: AbortSignal): Promise<string> {
  const decoder = new TextDecoder()
  let text: string[] = []
  return new Promise<string>((resolve, reject) => {
    const onAbort = () => end(() => reject(signal.reason))
    const onData = (chunk: Uint8Array | string) => {
      for (const key of typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })) {
        if (key === '\r' || key === '\n') return end(() => resolve(text.join('')))
        if (key === '\u0003' || key === '\u0004') return end(() => reject(new OtaError('ABORTED', 'aborted', 'stopped at the password')))
        if (key === '\u007f' || key === '\b') text.pop()
        else if (key === '\u0015') text = []
        else if (text.length < secretLimit) text.push(key)
      }
    }
    const end = (settle: () => void) => {
      stdin.off('data', onData)
      signal.removeEventListener('abort', onAbort)
      settle()
    }
    stdin.on('data', onData)
    signal.addEventListener('abort', onAbort)
    stdin.resume()
  })
}
