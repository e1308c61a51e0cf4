import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { runDemo } from '../demo/run-demo.ts'

interface DemoFlags {
  readonly listen: string
  readonly once?: boolean
}

export function defineDemo(command: Command, cli: Cli): void {
  command
    .description(
      'Plays the whole journey of a release on this machine: two signed releases in an OCI layout, a server, a virtual ESP32 in its own process, every room that is passed until the new version is confirmed; then four attacks and how each is refused. Then it stays up for you to look around, until Ctrl-C.',
    )
    .option('--once', 'end after the last step; exit code 1 if a step did not do what it should')
    .option('--listen <host:port>', 'where the server listens; port 0 takes a free one', '127.0.0.1:0')
    .addHelpText(
      'after',
      `
Examples:
  reflash demo
  reflash demo --once`,
    )
    .action(({ once = false, listen }: DemoFlags) => {
      const say = (line: string): void => cli.output.line(line)
      return runDemo({ once, listen, signal: cli.signal, now: cli.now, say })
    })
}
