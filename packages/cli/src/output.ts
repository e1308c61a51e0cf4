import { type Json, OtaError } from '@reflash/core'
import { fail } from './cli-errors.ts'
import { entryOf } from './error-tables.ts'
import { exitCodes } from './exit-code.ts'

/** Where text goes: a process's streams, or a test's. */
export interface TextSink {
  write(text: string): unknown
}

/**
 * What a command says. The result goes to stdout, once: a JSON document with --json, text for people without. All else goes to stderr.
 */
export interface Output {
  readonly json: boolean
  /** What the process exits with. */
  readonly exitCode: number
  /** Prints the result, and with `exitCode` says that the result is a failure. */
  result(document: Json, human: string, exitCode?: number): void
  /** A line for people, on stderr. */
  note(line: string): void
  /** A line of a result that comes bit by bit; not for commands that have --json. */
  line(text: string): void
  /** Prints an error as the result, with `facts` beside it in JSON, and sets the exit code by its fault. */
  error(error: unknown, facts?: Readonly<Record<string, Json>>): Promise<void>
}

export interface OutputOptions {
  readonly stdout: TextSink
  readonly stderr: TextSink
  readonly json: boolean
  /** Whether errors show where they come from. */
  readonly debug: boolean
  /** What to type for help, such as `reflash push --help`. */
  readonly help?: () => string
}

export function outputOn({ stdout, stderr, json, debug, help = () => 'reflash --help' }: OutputOptions): Output {
  let code = 0
  return {
    json,
    get exitCode() {
      return code
    },
    result(document, human, exitCode = 0) {
      stdout.write(json ? `${JSON.stringify(document, null, 2)}\n` : human.endsWith('\n') || human === '' ? human : `${human}\n`)
      code = exitCode
    },
    line: (text) => void stdout.write(`${text}\n`),
    note: (line) => void stderr.write(`${line}\n`),
    async error(thrown, facts = {}) {
      const error = asOtaError(thrown)
      code = exitCodes[error.fault]
      if (json) stdout.write(`${JSON.stringify({ ...facts, error: errorDocument(error) }, null, 2)}\n`)
      stderr.write(await errorText(error, help()))
      if (debug) for (let at: unknown = error; at instanceof Error; at = at.cause) stderr.write(`${at.stack}\n`)
    },
  }
}

/** What --json prints of an error: its stable fields. */
export function errorDocument({ code, fault, message, because }: OtaError): Json {
  return { code, fault, message, because: because.map(({ code, message }) => ({ code, message })) }
}

async function errorText(error: OtaError, help: string): Promise<string> {
  const reasons = error.because.filter((reason) => reason.code !== error.code || reason.message !== error.message)
  const next = error.fault === 'aborted' ? undefined : error.code === 'USAGE' ? `Read ${help}.` : await nextOf(error)
  return [
    `reflash: ${error.code}: ${error.message}`,
    ...reasons.map((reason) => `  - ${reason.code}: ${reason.message}`),
    ...(next === undefined ? [] : [`  what to do: ${next}`]),
    '',
  ].join('\n')
}

/** Where a server has refused, what to do depends on its reason, which our tables know where the server is one of ours. */
async function nextOf({ code, details }: OtaError): Promise<string | undefined> {
  const { remoteCode } = details
  return ((typeof remoteCode === 'string' ? await entryOf(remoteCode) : undefined) ?? (await entryOf(code)))?.next
}

/** An abort of any kind is `ABORTED`; what no table knows is our bug. */
function asOtaError(thrown: unknown): OtaError {
  if (thrown instanceof OtaError) return thrown
  if (thrown instanceof Error && thrown.name === 'AbortError') return new OtaError('ABORTED', 'aborted', 'stopped before the end')
  return fail('INTERNAL', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown })
}
