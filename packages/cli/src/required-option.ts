import { type Command, Option } from 'commander'

/**
 * A hook that asks for an option which must be given. Unlike commander's own it runs after unknown options were refused: whoever mistypes
 * `--output` is told so, and not that it is missing.
 * @example command.option('--key <file>', 'private key').hook('preAction', required('--key <file>'))
 */
export function required(flags: string): (command: Command, acting: Command) => void {
  const name = new Option(flags).attributeName()
  return (command, acting) => {
    // A command of its own below this one has options of its own.
    if (acting !== command) return
    if (command.getOptionValue(name) === undefined) command.error(`error: required option '${flags}' not specified`)
  }
}
