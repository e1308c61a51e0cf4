/** A bounded memory that forgets what was not used for longest. */
export interface RecentlyUsed<V> {
  get(key: string): V | undefined
  set(key: string, value: V): void
  delete(key: string): void
  clear(): void
}

export function recentlyUsed<V>(limit: number): RecentlyUsed<V> {
  const entries = new Map<string, V>()
  const put = (key: string, value: V): void => {
    // Deleted first, so that the order of the map is that of use.
    entries.delete(key)
    entries.set(key, value)
  }
  return {
    get(key) {
      const value = entries.get(key)
      if (value !== undefined) put(key, value)
      return value
    },
    set(key, value) {
      put(key, value)
      if (entries.size > limit) entries.delete(entries.keys().next().value as string)
    },
    delete: (key) => void entries.delete(key),
    clear: () => entries.clear(),
  }
}
