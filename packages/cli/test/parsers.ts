import { PassThrough } from 'node:stream'
import { type Json, tokenDevices } from '@reflash/core'
import { fuzzParser, type Mutation, mutateBytes, mutateJson, mutateJsonBytes, mutateText, type ParserFuzz } from '@reflash/core/testing'
import { CommanderError } from 'commander'
import type { Cli } from '../src/cli.ts'
import { programFor, usageError } from '../src/command-line.ts'
import { parseMemory, type Remembered } from '../src/device/device-memory.ts'
import { outputOn } from '../src/output.ts'
import { parseAnnotations } from '../src/push/annotation-argument.ts'
import { type FileArgument, parseFileArgument } from '../src/push/file-argument.ts'
import { parseConfig } from '../src/serve/server-config.ts'
import { parseTokens } from '../src/serve/tokens-file.ts'

const digest = `sha256:${'a'.repeat(64)}`
const jsonText: Mutation<string> = (text, random, other) => {
  const [mine, theirs] = [text, other].map((part) => new TextEncoder().encode(part)) as [Uint8Array, Uint8Array]
  return new TextDecoder().decode((random.once(8) ? mutateBytes : mutateJsonBytes)(mine, random, theirs))
}

const tokens = fuzzParser<string, unknown>({
  name: 'tokens file',
  corpus: [`# lamps\nd1 one\r\naa:bb:cc=c2VjcmV0==\nd3:${digest}\n\nd4\tfour\n`, JSON.stringify({ d1: 'one', d2: digest })],
  mutations: [mutateText(['\n', ' ', '=', ':', '#', 'sha256:', 'd1 one\n', '{', '"', digest]), jsonText],
  parse: (text) => tokenDevices(parseTokens(text, 'tokens')),
  codes: { TOKENS_UNREADABLE: 'invalid', INVALID_TOKENS: 'invalid' },
})

const secrets = fuzzParser<string, unknown>({
  name: 'tokens file that holds a secret',
  corpus: ['d1 swordfish\nd2 swordfish', '{"d1":"swordfish"}'],
  mutations: [mutateText(['\n', ' ', '=', ':', '"', ',', '}'])],
  // A line that cannot be read may be nothing but the token: no message repeats it.
  parse: (text) => {
    try {
      return tokenDevices(parseTokens(text, 'tokens'))
    } catch (error) {
      const { message } = error as Error
      if (message.includes('swordfish') && !/^device \S*swordfish/.test(message)) throw new Error(`the secret is in: ${message}`)
      throw error
    }
  },
  codes: { TOKENS_UNREADABLE: 'invalid', INVALID_TOKENS: 'invalid' },
})

const annotations = fuzzParser<readonly string[], Readonly<Record<string, string>>>({
  name: '--annotation',
  corpus: [['dev.reflash.from=>=1.0.0', 'a=b'], ['x=']],
  mutations: [
    (texts, random, other) =>
      texts.map((text) => mutateText(['=', ' ', '__proto__=', 'org.opencontainers.image.version='])(text, random, other[0] ?? '')),
    (texts) => [...texts, ...texts],
  ],
  parse: parseAnnotations,
  codes: { USAGE: 'invalid' },
})

const file = fuzzParser<string, FileArgument>({
  name: '<file>@<platform>',
  corpus: ['lamp.bin@esp32s3', 'a@b/rootfs.img@linux/arm64', 'x'],
  mutations: [mutateText(['@', '/', 'esp32', '.'])],
  // What is no platform belongs to the file's name: this parser never throws.
  parse: (text) => parseFileArgument(text, async () => false),
  codes: {},
  holds: ({ path, platform }, text) => {
    if (platform === undefined ? path !== text : !text.startsWith(`${path}@`)) throw new Error(`expected a part of ${JSON.stringify(text)}`)
  },
})

const config = fuzzParser<Json, unknown>({
  name: 'reflash.config.ts',
  corpus: [
    { repository: 'oci:releases', product: 'lamp', pollMs: 60_000, policy: { channel: 'beta' }, http: { listen: ':8080' } },
    { http: false, mqtt: { listen: '127.0.0.1:0', tls: { cert: 'PEM', key: 'PEM' }, prefix: 'a/b' } },
    { mqtt: { url: 'mqtt://broker.example', username: 'u', share: 'g' } },
    {},
  ],
  mutations: [mutateJson],
  parse: (given) => parseConfig(given, 'reflash.config.ts'),
  codes: { CONFIG_UNREADABLE: 'invalid' },
})

const memory = fuzzParser<string, Remembered>({
  name: 'device.json of a virtual device',
  corpus: [
    { format: 1, versions: { [digest]: '1.0.0' }, update: { seq: 2, version: '1.1.0', digest, stage: 'switched', code: 'X' } },
    { format: 1, versions: {} },
  ].map((document) => JSON.stringify(document)),
  mutations: [jsonText],
  parse: (text) => parseMemory(text, 'device.json'),
  codes: { DEVICE_STATE_INVALID: 'invalid' },
})

const commandLines: readonly (readonly string[])[] = [
  ['push', 'oci:releases:1.2.0', 'lamp.bin@esp32s3', '--product', 'lamp', '--annotation', 'a=b', '--json'],
  [
    'serve',
    '--repository',
    '127.0.0.1:5000/{model}',
    '--key',
    'cosign.pub',
    '--tokens',
    'tokens',
    '--listen',
    ':8080',
    '--poll-ms',
    '1000',
  ],
  ['device', '--server', 'http://127.0.0.1:8080', '--id', 'd1', '--chip', 'esp32s3', '--state', 'd', '--once'],
  ['serve', '--repository', 'oci:rel', '--mqtt-listen', ':0', '--no-http', '--mqtt-version', '3.1.1', '--otaflux-topic', 'fw'],
  ['sign', 'oci:releases:1.0.0', '--key', 'cosign.key'],
  ['verify', 'oci:releases:1.0.0', '--key', 'cosign.pub', '--json'],
  ['pull', 'oci:releases:1.0.0', '-o', 'x.bin'],
  ['inspect', 'lamp.bin', '--json'],
  ['keygen', '--output-key-prefix', 'cosign'],
]
const words = commandLines
  .flat()
  .concat('--', '-', '--help', '-h', 'help', '--version', '--no-key', '--key=', '--json=x', '-oo', '', '--__proto__', '@file')

const changeLine: Mutation<readonly string[]> = (line, random, other) => {
  const at = random.below(line.length + 1)
  return random.pick<() => readonly string[]>([
    () => [...line.slice(0, at), random.pick(words), ...line.slice(at)],
    () => [...line.slice(0, at), random.pick(words), ...line.slice(at + 1)],
    () => [...line.slice(0, at), ...line.slice(at + 1)],
    () => [...line.slice(0, at), ...other.slice(random.below(other.length))],
    () => line.map((word, index) => (index === at ? mutateText(['-', '--', '=', ' '])(word, random, other[0] ?? '') : word)),
  ])()
}

const nowhere = { write: () => true }
const cli: Cli = {
  env: {},
  stdin: new PassThrough().end(),
  stderr: nowhere,
  output: outputOn({ stdout: nowhere, stderr: nowhere, json: false, debug: false }),
  signal: new AbortController().signal,
  now: () => new Date(0),
}
const commandNames = ['keygen', 'push', 'sign', 'verify', 'pull', 'inspect', 'serve', 'device', 'demo']
/** Every command with its options, whose actions do nothing. */
const program = await programFor(commandNames, cli, { stdout: nowhere, stderr: nowhere } as never)
for (const command of program.commands) command.action(() => {})

const commandLine = fuzzParser<readonly string[], unknown>({
  name: 'command line',
  corpus: commandLines,
  mutations: [changeLine],
  parse: async (args) => {
    try {
      await program.parseAsync(args, { from: 'user' })
    } catch (error) {
      // Help and the version were asked for.
      if (error instanceof CommanderError && error.exitCode === 0) return
      throw error instanceof CommanderError ? usageError(error) : error
    }
  },
  codes: { USAGE: 'invalid' },
})

/** Every parser of this package. */
export const parsers: readonly ParserFuzz[] = [tokens, secrets, annotations, file, config, memory, commandLine]
