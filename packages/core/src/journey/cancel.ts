import type { Reason } from '../errors.ts'
import type { Report } from '../update/observation.ts'
import { clippedReasons, closed, type DeviceRecord, type OpenUpdate } from './device-record.ts'
import { counted, type JourneyContext, tell } from './observe.ts'
import { changeRecord } from './record-store.ts'

/** Reasons that are kept of a request to stop: why, and what that followed from. */
const keptReasons = 2

/**
 * Asks the device of an open update to stop, which may refuse: it is written down once, before the device is told. The update stays open until the
 * device has answered. False where it is not to be asked: it has ended, is installed, or has refused.
 * @throws what the journal throws
 */
export async function askToCancel(context: JourneyContext, deviceId: string, seq: number, because: readonly Reason[]): Promise<boolean> {
  const { journal, clock } = context
  const { asked, open } = await changeRecord<{ readonly asked: boolean; readonly open?: OpenUpdate }>(journal, deviceId, (record) => {
    const { open } = record
    if (open?.seq !== seq || open.stage === 'install' || open.cancel?.refused === true) return { record, result: { asked: false } }
    if (open.cancel !== undefined) return { record, result: { asked: true } }
    const cancel = { at: clock().toISOString(), because: clippedReasons(because.slice(0, keptReasons)) }
    return { record: { ...record, open: { ...open, cancel } }, result: { asked: true, open } }
  })
  if (open !== undefined) {
    const message = `the device is asked to stop: ${because.map((reason) => reason.message).join('; ')}`
    tell(context, deviceId, open, [{ stage: 'deliver', is: 'waiting', because: [{ code: 'CANCEL_ASKED', message }] }])
  }
  return asked
}

/**
 * Ends the update of a device that has stopped because it was asked to: as one that the server took back, and none that failed. False where nobody
 * asked: why it stopped is its own matter.
 * @throws what the journal throws
 */
export async function endCanceled(context: JourneyContext, deviceId: string, seq: number, { messages = [] }: Report): Promise<boolean> {
  const said = messages.length === 0 ? '' : `: ${messages.join('; ')}`
  const ended = await changeRecord<{ readonly open: OpenUpdate; readonly after: DeviceRecord } | undefined>(
    context.journal,
    deviceId,
    (record) => {
      const { open } = record
      if (open?.seq !== seq || open.cancel === undefined) return { record, result: undefined }
      const because = [...open.cancel.because, { code: 'CANCELED', message: `the device has stopped, as it was asked to${said}` }]
      const after = closed(record, 'superseded', because, context.clock(), false)
      return { record: after, result: { open, after } }
    },
  )
  if (ended === undefined) return false
  const because = ended.after.history[0]?.because ?? []
  tell(context, deviceId, ended.open, [{ stage: 'deliver', is: 'superseded', because }])
  await counted(context, deviceId, ended.after)
  return true
}
