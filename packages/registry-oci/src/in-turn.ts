const queues = new Map<string, Promise<unknown>>()

/** Runs work on one thing after all earlier work on it in this process has ended, failed or not. */
export async function inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
  const before = queues.get(key)
  const mine = before === undefined ? work() : before.then(work, work)
  const settled = mine.catch(() => {})
  queues.set(key, settled)
  try {
    return await mine
  } finally {
    if (queues.get(key) === settled) queues.delete(key)
  }
}
