import type { SerialLine } from './serial-line.ts'

/** Waits, and ends early with an error where the caller leaves. */
export type Wait = (ms: number) => Promise<void>

/** How a chip is brought into its ROM loader, and out again. */
export interface ResetSequence {
  /** Brings the chip into the ROM loader, before the first word. */
  enter(line: SerialLine, wait: Wait): Promise<void>
  /** Restarts the chip into its application; without it the ROM is asked to. */
  leave?(line: SerialLine, wait: Wait): Promise<void>
}

/**
 * The reset of boards whose USB bridge drives EN by RTS and GPIO0 by DTR, both inverted by two transistors: nothing happens while both lines
 * are alike. Also of chips with USB of their own, which understand the same moves.
 */
export const controlLines: ResetSequence = Object.freeze({
  async enter({ setSignals }: SerialLine, wait: Wait) {
    await setSignals?.({ dtr: false, rts: true })
    await wait(100)
    await setSignals?.({ dtr: true, rts: false })
    await wait(50)
    await setSignals?.({ dtr: false, rts: false })
  },
  async leave({ setSignals }: SerialLine, wait: Wait) {
    await setSignals?.({ dtr: false, rts: true })
    await wait(100)
    await setSignals?.({ dtr: false, rts: false })
  },
})

/** For lines without control lines, and boards whose buttons were pressed: the chip is in its ROM loader already, and is asked to restart. */
export const noControlLines: ResetSequence = Object.freeze({ async enter() {} })
