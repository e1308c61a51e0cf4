/** What happened to one message of a device, ready for JSON. */
export interface MqttRecord {
  readonly kind: 'check-in' | 'report' | 'image'
  /** From the topic; authentic unless the code says otherwise. */
  readonly deviceId: string
  readonly durationMs: number
  /** Of an image, that were handed to the broker. */
  readonly bytes?: number
  /** Why not, in one word. */
  readonly code?: string
}

/** `cause` is what was thrown, where something was: for error trackers; its message may name machines. */
export type OnMqttRecord = (record: MqttRecord, cause?: unknown) => void

/** A logger that fails must not take the updates of a fleet with it. */
export function tellRecord(onRecord: OnMqttRecord | undefined, record: MqttRecord, cause?: unknown): void {
  try {
    onRecord?.(record, cause)
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : String(error))
  }
}
