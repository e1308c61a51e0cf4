import type { Driver, FlashPort, Json, RunContext } from '@reflash/core'
import { controlLines, type Esp32Plan, esp32Target, noControlLines, type SerialFlashPort, serialTransport } from '@reflash/target-esp32'
import { type Command, InvalidArgumentError } from 'commander'
import type { Cli } from '../cli.ts'
import { fail } from '../cli-errors.ts'
import { fileToFlash, type ImageToFlash, isFile, referenceToFlash, type SourceFlags } from '../flash/image-to-flash.ts'
import { formatBytes, progressOn } from '../progress.ts'
import { withRegistryFlags } from '../registry-options.ts'
import { required } from '../required-option.ts'
import { wholeNumber } from '../whole-number.ts'

interface FlashFlags extends SourceFlags {
  readonly port: string
  readonly baud: number
  readonly reset?: string
  readonly flashSize?: number
  readonly rollback: boolean
}

export function defineFlash(command: Command, cli: Cli): void {
  withRegistryFlags(
    command
      .description(
        'Updates an ESP32 over a cable: finds out what chip it is, refuses what does not fit, writes the slot that does not run (compressed, and only the blocks that differ), compares the MD5 of what is in flash, switches last, and restarts the chip. Until it has switched, the chip starts what it ran before, also after Ctrl-C or a cut; run it again to go on. A path that exists is a file; everything else is a reference.',
      )
      .argument('<file|reference>', 'a file, host[:port]/repository(:tag|@digest) or oci:<dir>(:tag|@digest)')
      .option('--port <path>', 'serial port such as /dev/ttyUSB0 or COM3, or socket://<host>:<port>')
      .option('--baud <rate>', 'speed to write at, bits per second', wholeNumber, 921_600)
      .option(
        '--reset <how>',
        'lines: by DTR and RTS; none: the chip is in its ROM loader already (default: lines, where the port has them)',
      )
      .option('--flash-size <size>', 'such as 4MB; needed for chips whose flash cannot be asked: P4, H4, E22, S31', flashSize)
      .option('--no-rollback', 'the bootloader was built without CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE')
      .option(
        '--key <file>',
        'of a reference: public key; any one of several may have signed',
        (file: string, all: readonly string[] = []) => [...all, file],
      )
      .option('--allow-unsigned', 'of a reference: flash it whoever made it')
      .option('--platform <platform>', 'of an index: which image; the one for the chip where absent'),
  )
    .hook('preAction', required('--port <path>'))
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
Examples:
  reflash flash --port /dev/ttyUSB0 build/lamp.bin
  reflash flash --port /dev/ttyACM0 registry.example.com/firmware/lamp:1.2.0 --key cosign.pub
  reflash flash --port socket://127.0.0.1:4000 oci:releases:1.2.0 --allow-unsigned --json`,
    )
    .action((subject: string, flags: FlashFlags) => flash(subject, flags, cli))
}

/** @throws InvalidArgumentError */
function flashSize(text: string): number {
  const [, digits, unit] = /^([1-9]\d{0,3})(KB|MB)$/i.exec(text) ?? []
  if (digits === undefined) throw new InvalidArgumentError('expected a size such as 4MB or 512KB.')
  return Number(digits) * 1024 ** (unit?.toUpperCase() === 'KB' ? 1 : 2)
}

const resets = { lines: controlLines, none: noControlLines } as const

async function flash(subject: string, flags: FlashFlags, cli: Cli): Promise<void> {
  const { port: path, baud, reset, flashSize: flashBytes } = flags
  if (reset !== undefined && reset !== 'lines' && reset !== 'none') throw fail('USAGE', `--reset: expected lines or none, found ${reset}`)
  // What is wrong with a file shows before the chip is touched.
  const file = (await isFile(subject)) ? await fileToFlash(subject) : undefined
  if (file === undefined && (flags.key === undefined) === (flags.allowUnsigned !== true)) {
    throw fail('USAGE', `${subject} is no file, so it is a reference: expected either --key <cosign.pub> or --allow-unsigned`)
  }
  if (file !== undefined && flags.key !== undefined) {
    throw fail('USAGE', `--key: expected a reference, whose signature it checks, found the file ${subject}, which has none`)
  }
  const target = esp32Target({ rollback: flags.rollback })
  const context: RunContext = { signal: cli.signal, now: cli.now() }
  if (file !== undefined) await target.inspect(file.image, context)
  const transport = serialTransport({
    port: path,
    baud,
    ...(flashBytes === undefined ? {} : { flashBytes }),
    ...(reset === undefined ? {} : { reset: resets[reset] }),
  })
  try {
    const { port } = await transport.connect({ id: 'serial' }, { signal: cli.signal })
    const source = file ?? (await referenceToFlash(subject, port.chip, flags, cli))
    const plan = await update(port, source, target, context, cli)
    report(path, port, source, plan, cli)
  } finally {
    await transport.close()
  }
}

async function update(
  port: SerialFlashPort,
  { image }: ImageToFlash,
  target: ReturnType<typeof esp32Target>,
  context: RunContext,
  { stderr }: Cli,
): Promise<Esp32Plan> {
  const driver = target.drive?.flash as Driver<FlashPort, Esp32Plan>
  const looking = progressOn(stderr, 'reading what runs')
  const found = await driver.probe(port, context).finally(() => looking.end())
  const { secureBoot } = port
  const attributes = { ...found.attributes, ...(secureBoot === undefined ? {} : { secureBoot }) }
  const plan = target.plan({ ...found, model: port.chip, attributes }, await target.inspect(image, context), image.descriptor)
  const writing = progressOn(stderr, 'writing')
  try {
    await driver.deliver(plan, image, port, { ...context, progress: (done, total) => writing.update(done, total) })
    // It compares the slot with the plan once more, and switches only where each byte is there.
    await driver.install(plan, port, context)
  } finally {
    writing.end()
  }
  return plan
}

function report(path: string, port: SerialFlashPort, { from }: ImageToFlash, plan: Esp32Plan, { output }: Cli): void {
  const { digest, sizeBytes, appVersion, slot } = plan
  const document: Json = {
    state: 'installed',
    port: path,
    chip: port.chip,
    flashBytes: port.flashBytes,
    from,
    digest,
    sizeBytes,
    appVersion,
    slot: slot === undefined ? null : `ota_${slot.number}`,
    retries: port.retries,
  }
  const lines = [
    `installed ${from} on the ${port.chip} at ${path}`,
    `  image     ${digest} (${formatBytes(sizeBytes)}), ${appVersion}`,
    ...(slot === undefined ? [] : [`  slot      ota_${slot.number}`]),
    ...(port.retries === 0 ? [] : [`  line      ${port.retries} pieces of work were done again: choose a lower --baud`]),
    'The chip has restarted; it keeps the image once its self-test has passed.',
  ]
  output.result(document, lines.join('\n'))
}
