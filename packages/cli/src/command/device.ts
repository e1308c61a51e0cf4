import { setTimeout as pause } from 'node:timers/promises'
import { type Installed, isOtaError, type Json, type Reason } from '@reflash/core'
import { type ChipName, chips } from '@reflash/target-esp32'
import { type Command, Option } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import type { AgentEvent, Outcome } from '../device/device-agent.ts'
import { type OpenDevice, openDevice } from '../device/open-device.ts'
import { type ServerFlags, serverConnection, withDeviceMqttFlags } from '../device/server-connection.ts'
import { entryOf } from '../error-tables.ts'
import { exitCodes } from '../exit-code.ts'
import { readSmallFile } from '../files.ts'
import { formatBytes, type Progress, progressOn } from '../progress.ts'
import { required } from '../required-option.ts'
import { wholeNumber } from '../whole-number.ts'
import { defineFleetDevice } from './fleet-device.ts'

interface DeviceFlags extends ServerFlags {
  readonly chip: ChipName
  readonly state: string
  readonly token?: string
  readonly tokenFile?: string
  readonly once?: boolean
  readonly pollMs?: number
  readonly rollbackTest?: 'fail'
}

export function defineDevice(command: Command, cli: Cli): void {
  defineFleetDevice(command, cli)
  withDeviceFlags(command)
    .hook('preAction', required('--server <url>'))
    .hook('preAction', required('--id <device>'))
    .hook('preAction', required('--chip <chip>'))
    .hook('preAction', required('--state <folder>'))
    .addHelpText(
      'after',
      `
With --once, exit code 0 means that the update was confirmed or that the device is up to date, 3 that an image failed or was rolled back,
4 that the server is away. Where nothing is offered for another reason, the exit code is that of the reason.

Examples:
  reflash device --server http://127.0.0.1:8080 --id d1 --chip esp32s3 --state d1 --once
  reflash device --server http://127.0.0.1:8080 --id d1 --chip esp32s3 --state d1 --token-file d1.token
  reflash device --server mqtt://127.0.0.1:1883 --id d1 --chip esp32s3 --state d1 --token-file d1.token --once
  reflash device --server http://127.0.0.1:8080 --id d1 --chip esp32s3 --state d1 --once --rollback-test fail
  reflash device list --select site=berlin
  reflash device explain d1`,
    )
    .action((flags: DeviceFlags) => device(flags, cli))
}

function withDeviceFlags(command: Command): Command {
  command
    .description(
      'Is a virtual ESP32 that updates itself over HTTP or MQTT: 4 MiB of flash with two slots and nothing installed at first, kept in a folder from run to run. It checks in, downloads into the slot that does not run, reads back, switches, restarts, tests itself and confirms. It may be killed at any time.',
    )
    .option('--server <url>', 'the update server, http(s)://, or the broker that it is behind, mqtt(s)://')
    .option('--id <device>', 'its id')
    .addOption(new Option('--chip <chip>', 'its chip').choices(chips.map(({ name }) => name)))
    .option('--state <folder>', 'where its flash is kept; made where it is missing')
    .option('--token <token>', 'its token; other users of the machine can see a command line, so --token-file is better')
    .option('--token-file <file>', 'a file that holds its token')
    .option('--once', 'check in once, with the whole update and its confirmation when one is offered')
    .option('--poll-ms <milliseconds>', 'how often to check in (default: as the server says)', wholeNumber)
    .addOption(
      new Option('--rollback-test <result>', 'let the self-test of every new image fail, so that the device rolls back').choices(['fail']),
    )
  return withDeviceMqttFlags(command).option('--json', 'print the outcome as JSON on stdout, and every event as a line of JSON on stderr')
}

/** Bytes; a token has at most 1024 characters. */
const tokenFileLimitBytes = 4096

async function device(flags: DeviceFlags, cli: Cli): Promise<void> {
  const { id, chip, state, once = false } = flags
  const token = await tokenOf(flags)
  const teller = tellerOn(cli)
  const opened = await openDevice({
    connection: await serverConnection(flags, token, cli),
    id,
    chip,
    folder: state,
    selfTest: () => flags.rollbackTest !== 'fail',
    onEvent: teller.event,
    now: cli.now,
  })
  try {
    if (once) await single(opened, flags, cli)
    else await loop(opened, flags, teller, cli)
  } finally {
    teller.end()
    await opened.close()
  }
}

async function tokenOf({ token, tokenFile }: DeviceFlags): Promise<string | undefined> {
  if (token !== undefined && tokenFile !== undefined) throw fail('USAGE', 'expected either --token or --token-file, found both')
  if (tokenFile === undefined) return token
  return new TextDecoder().decode(await readSmallFile(tokenFile, 'a token', tokenFileLimitBytes)).trim()
}

async function single({ agent }: OpenDevice, { id, chip }: DeviceFlags, { output, signal }: Cli): Promise<void> {
  try {
    const outcome = await agent.checkIn(signal)
    output.result(documentOf(id, chip, outcome), textOf(id, outcome), await exitCodeOf(outcome))
  } catch (error) {
    await output.error(signal.aborted ? signal.reason : error, {
      deviceId: id,
      chip,
      outcome: 'error',
      installed: installedDocument(agent.installed()),
    })
  }
}

/** Ends at Ctrl-C, which is how it is meant to end. */
async function loop({ agent }: OpenDevice, { id, chip, pollMs }: DeviceFlags, teller: Teller, { output, signal }: Cli): Promise<void> {
  let last: Outcome | undefined
  while (!signal.aborted) {
    let waitMs = pollMs ?? retryMs
    try {
      last = await agent.checkIn(signal)
      teller.outcome(id, last)
      waitMs = pollMs ?? last.pollAfterMs
    } catch (error) {
      if (signal.aborted) break
      if (!isOtaError(error) || error.fault !== 'unavailable') throw error
      teller.away(error.because)
    }
    await pause(waitMs, undefined, { signal }).catch(() => {})
  }
  output.result(
    last === undefined ? { deviceId: id, chip, outcome: 'stopped' } : documentOf(id, chip, last),
    last === undefined ? `${id}: stopped` : textOf(id, last),
  )
}

/** Milliseconds until a server that is away is asked again. */
const retryMs = 5000

function documentOf(deviceId: string, chip: ChipName, { is, installed, update, because }: Outcome): Json {
  return {
    deviceId,
    chip,
    outcome: is,
    installed: installedDocument(installed),
    ...(update === undefined ? {} : { update: { ...update } }),
    because: because.map(({ code, message }) => ({ code, message })),
  }
}

function installedDocument(installed: Installed | undefined): Json {
  return installed === undefined ? null : { ...installed }
}

const sentences: Readonly<Record<Outcome['is'], string>> = {
  'up-to-date': 'up to date:',
  'not-offered': 'nothing offered; runs',
  confirmed: 'confirmed',
  'rolled-back': 'rolled back to',
  failed: 'update failed; runs',
}

function textOf(id: string, { is, installed, because }: Outcome): string {
  const reasons = is === 'up-to-date' || is === 'confirmed' ? [] : because
  return [`${id}: ${sentences[is]} ${installed?.version ?? 'nothing'}`, ...reasons.map(reasonLine)].join('\n')
}

const reasonLine = ({ code, message }: Reason): string => `  - ${code}${message === '' ? '' : `: ${message}`}`

/** By the fault of the first reason that a table knows. */
async function exitCodeOf({ is, because }: Outcome): Promise<number> {
  if (is === 'up-to-date' || is === 'confirmed') return 0
  if (is !== 'not-offered') return exitCodes.rejected
  for (const { code } of because) {
    const entry = await entryOf(code.split('/')[0] as string)
    if (entry !== undefined) return exitCodes[entry.fault]
  }
  return exitCodes.unavailable
}

/** Says what the device does: lines for people, or lines of JSON. */
interface Teller {
  event(event: AgentEvent): void
  outcome(id: string, outcome: Outcome): void
  away(because: readonly Reason[]): void
  end(): void
}

function tellerOn({ output, stderr, now }: Cli): Teller {
  const line = (event: string, facts: object): void => output.note(JSON.stringify({ at: now().toISOString(), event, ...facts }))
  if (output.json) {
    return {
      event: ({ type, ...facts }) => (type === 'progress' ? undefined : line(type, facts)),
      outcome: (_id, { is, installed, because }) => line('outcome', { is, installed, because }),
      away: (because) => line('away', { because }),
      end: () => {},
    }
  }
  let progress: Progress | undefined
  const end = (): void => {
    progress?.end()
    progress = undefined
  }
  return {
    event(event) {
      if (event.type === 'progress') {
        progress ??= progressOn(stderr, 'downloading')
        progress.update(event.received, event.size)
        if (event.received === event.size) end()
      } else output.note(eventText(event))
    },
    outcome: (id, outcome) => {
      end()
      output.note(textOf(id, outcome))
    },
    away: (because) => {
      end()
      output.note(['server away', ...because.map(reasonLine)].join('\n'))
    },
    end,
  }
}

function eventText(event: Exclude<AgentEvent, { type: 'progress' }>): string {
  if (event.type === 'offered') return `offered ${event.version} (offer ${event.seq}, ${formatBytes(event.sizeBytes)})`
  if (event.type === 'state') return `${event.state} ${event.version}${event.code === undefined ? '' : `: ${event.code}`}`
  return ['once more', ...event.because.map(reasonLine)].join('\n')
}
