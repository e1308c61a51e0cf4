/**
 * The plugin as a wrapper returns it (`withRetry`, `withTracing`): a frozen object spread whose methods call the old ones by themselves, without
 * `this`. Counts calls by name.
 */
export function wrapped<P extends object>(plugin: P, calls: Map<string, number> = new Map()): P {
  const copy = { ...plugin } as Record<string, unknown>
  for (const [name, member] of Object.entries(copy)) {
    if (typeof member === 'function') copy[name] = counted(name, member as (...args: never[]) => unknown, calls)
    else if (name === 'drive' && isObject(member)) copy[name] = drivers(member, calls)
  }
  return Object.freeze(copy) as P
}

// A target's drivers lie one step deeper, one object for each port.
function drivers(drive: object, calls: Map<string, number>): object {
  return Object.freeze(
    Object.fromEntries(Object.entries(drive).map(([port, driver]) => [port, isObject(driver) ? wrapped(driver, calls) : driver])),
  )
}

function counted(name: string, method: (...args: never[]) => unknown, calls: Map<string, number>): (...args: never[]) => unknown {
  return (...args) => {
    calls.set(name, (calls.get(name) ?? 0) + 1)
    return method(...args)
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
