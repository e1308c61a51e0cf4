#!/usr/bin/env node
import { limitNursery } from './limit-nursery.ts'

// Before anything is loaded: what is loaded lets the young generation grow, and it never shrinks.
limitNursery()
const { runCommandLine } = await import('./command-line.ts')

// `reflash inspect x | head -1` closes the pipe early: that is the reader's choice, not an error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return
  process.stderr.write(
    `reflash: FILE_NOT_WRITABLE: stdout cannot be written: ${error.code}\n  what to do: Look at where the output goes.\n`,
  )
  process.exit(2)
})
process.exitCode = await runCommandLine(process)
