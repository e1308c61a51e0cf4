import { errorsOf } from '@reflash/core'

/** Every code that the command throws itself. docs/errors.md is generated from this table. */
export const cliErrors = {
  USAGE: {
    fault: 'invalid',
    means: 'A command, an option or an argument cannot be used as it was written.',
    next: 'Read `reflash --help`, or `reflash <command> --help`, which ends with examples.',
  },
  FILE_NOT_FOUND: { fault: 'invalid', means: 'A file or its folder does not exist.', next: 'Look for a spelling mistake in the path.' },
  FILE_NOT_READABLE: {
    fault: 'invalid',
    means: 'A file exists but cannot be read.',
    next: 'Look at its owner and mode, and whether it is a folder.',
  },
  FILE_NOT_WRITABLE: {
    fault: 'invalid',
    means: 'A file cannot be written.',
    next: 'Look at the owner and mode of its folder, and at the free space; nothing was left behind.',
  },
  FILE_EXISTS: {
    fault: 'invalid',
    means: 'A file that would be written exists already.',
    next: 'Choose another name, or pass --force to replace it.',
  },
  PASSWORD_NEEDED: {
    fault: 'invalid',
    means: 'A password is needed, and there is neither an environment variable that holds it nor a terminal to ask on.',
    next: 'Set COSIGN_PASSWORD (it may be empty), or run the command on a terminal.',
  },
  PASSWORD_MISMATCH: {
    fault: 'invalid',
    means: 'The password was typed differently the second time.',
    next: 'Try again; no file was written.',
  },
  PLATFORM_NEEDED: {
    fault: 'invalid',
    means: 'A platform must be named: none is written, and nothing says which one is meant.',
    next: 'Write <file>@<platform> (push) or --platform <platform> (pull, inspect).',
  },
  PLATFORM_MISMATCH: {
    fault: 'invalid',
    means: 'The platform that was written is not the one that the image says it runs on.',
    next: 'Write the platform of the image, or leave it away; --force pushes it all the same.',
  },
  NOT_VERIFIED: {
    fault: 'rejected',
    means: 'No signature of the key covers the artifact.',
    next: 'Do not use it. Ask its publisher which key signs it, and whether this digest is theirs.',
  },
  NOT_ATTESTED: {
    fault: 'rejected',
    means: 'A certificate chain, its proof or what it measures is not affirmed.',
    next: 'Read which checks failed, and on which certificate; do not trust the device before they pass.',
  },
  TOKENS_UNREADABLE: {
    fault: 'invalid',
    means: 'A tokens file cannot be understood.',
    next: 'Write a line "device-id token" for each device, or one JSON object { "device-id": "token" }.',
  },
  CONFIG_UNREADABLE: {
    fault: 'invalid',
    means: 'A configuration file cannot be loaded, or holds a key or value that is none.',
    next: 'Export an object from it: `export default defineConfig({ ... })`, with defineConfig from @reflash/cli.',
  },
  NOT_ONE_IMAGE: {
    fault: 'unsupported',
    means: 'An artifact holds several files or none, where one image was expected.',
    next: 'Pull it with an OCI client such as oras, or push each image as an artifact of its own.',
  },
  DEVICE_STATE_INVALID: {
    fault: 'invalid',
    means: 'The state folder of a virtual device is damaged.',
    next: 'Use another folder, or delete this one: the device then starts with nothing installed.',
  },
  DEVICE_STATE_IN_USE: {
    fault: 'unavailable',
    means: 'Another process is the virtual device of this state folder.',
    next: 'Wait for it or end it; give each device a folder of its own.',
  },
  DEVICE_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'The server asks for something that the virtual device cannot do.',
    next: 'Offer it one image, and do not ask it for evidence.',
  },
  DOWNLOAD_CUT: {
    fault: 'unavailable',
    means: 'The server ended a download before its last byte.',
    next: 'Run the device again: it goes on where the download stopped.',
  },
  CRC_MISMATCH: {
    fault: 'rejected',
    means: 'What was written has the digest of the offer, but not its CRC-32: the offer contradicts itself.',
    next: 'Nothing was switched. Look at the server: it tells devices numbers of another image.',
  },
  SELF_TEST_FAILED: {
    fault: 'rejected',
    means: 'A new image did not pass its self-test, and the device went back to the image before.',
    next: 'Release a mended version; the server stops offering this one after some attempts.',
  },
  DEMO_FAILED: {
    fault: 'internal',
    means: 'A step of the demo did not do what it should.',
    next: 'Run it again; if it fails again, report what it printed.',
  },
  INTERNAL: {
    fault: 'internal',
    means: 'The command failed in a way that it should not.',
    next: 'Run it again with REFLASH_DEBUG=1 and report what it prints.',
  },
} as const

export const fail = errorsOf(cliErrors)
