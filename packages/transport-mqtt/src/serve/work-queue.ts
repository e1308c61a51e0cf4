/** Work of many devices, a bounded part of which is done at once. */
export interface WorkQueue {
  /** Says whether there was room. `work` never rejects. */
  add(deviceId: string, work: () => Promise<void>): boolean
  /** Takes no more, and resolves once all is done. */
  settled(): Promise<void>
}

export interface WorkLimits {
  readonly pendingMessages: number
  readonly pendingOfDevice: number
  readonly concurrency: number
}

/** Work is done in the order in which it came; what finds no room is left out, and its device asks again. */
export function workQueue({ pendingMessages, pendingOfDevice, concurrency }: WorkLimits): WorkQueue {
  const waiting: { readonly deviceId: string; readonly work: () => Promise<void> }[] = []
  const perDevice = new Map<string, number>()
  let running = 0
  let isEnding = false
  let idle: (() => void) | undefined

  function count(deviceId: string, by: 1 | -1): void {
    const now = (perDevice.get(deviceId) ?? 0) + by
    if (now === 0) perDevice.delete(deviceId)
    else perDevice.set(deviceId, now)
  }

  function next(): void {
    while (running < concurrency) {
      const task = waiting.shift()
      if (task === undefined) break
      running += 1
      void task.work().finally(() => {
        running -= 1
        count(task.deviceId, -1)
        next()
      })
    }
    if (running === 0 && waiting.length === 0) idle?.()
  }

  return {
    add(deviceId, work) {
      if (isEnding || waiting.length >= pendingMessages || (perDevice.get(deviceId) ?? 0) >= pendingOfDevice) return false
      count(deviceId, 1)
      waiting.push({ deviceId, work })
      next()
      return true
    },
    settled() {
      isEnding = true
      return new Promise((resolve) => {
        idle = resolve
        next()
      })
    },
  }
}
