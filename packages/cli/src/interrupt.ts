import { OtaError } from '@reflash/core'

/** The abort signal of one command line, and the end of its signal handlers. */
export interface Interrupt {
  readonly signal: AbortSignal
  release(): void
}

/** What sends signals: a process. */
export interface Signalled {
  readonly pid: number
  on(name: 'SIGINT' | 'SIGTERM', listener: (name: NodeJS.Signals) => void): unknown
  off(name: 'SIGINT' | 'SIGTERM', listener: (name: NodeJS.Signals) => void): unknown
  kill(pid: number, name: NodeJS.Signals): unknown
}

/** The first Ctrl-C (or SIGTERM) aborts, so that temporary files go; the second one kills, should that hang. */
export function interruptOn(process: Signalled): Interrupt {
  const controller = new AbortController()
  const release = () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
  const onSignal = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) {
      release()
      process.kill(process.pid, name)
      return
    }
    controller.abort(new OtaError('ABORTED', 'aborted', `stopped by ${name === 'SIGINT' ? 'Ctrl-C' : name}`))
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return { signal: controller.signal, release }
}
