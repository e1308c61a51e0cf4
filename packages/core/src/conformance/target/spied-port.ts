/** One call of a port. */
export interface PortCall {
  readonly method: string
  readonly args: readonly unknown[]
}

/** What a rule does to a port: it sees each call before it is made, and makes it, or something else. `number` counts from 1. */
export type Interfere = (call: PortCall, make: () => Promise<unknown>, number: number) => Promise<unknown>

export interface SpiedPort<Port> {
  readonly port: Port
  /** Every call so far, in order. */
  readonly calls: readonly PortCall[]
}

/** The same port, with whatever else it has; every call of it is seen, and may be interfered with. */
export function spiedPort<Port extends object>(port: Port, interfere: Interfere = (_call, make) => make()): SpiedPort<Port> {
  const calls: PortCall[] = []
  const spied = (method: string, member: (...args: unknown[]) => unknown) => {
    // Not a promise: which bytes are missing is asked as one goes.
    if (method === 'missing') return (...args: unknown[]) => member.apply(port, args)
    return async (...args: unknown[]) => {
      const call = { method, args }
      calls.push(call)
      return interfere(call, async () => member.apply(port, args), calls.length)
    }
  }
  // A proxy of an empty object, because a frozen port would not let its methods be replaced.
  const proxy = new Proxy({} as Port, {
    get: (_target, key) => {
      const member: unknown = Reflect.get(port, key)
      if (typeof member !== 'function') return member
      return typeof key === 'string' ? spied(key, member as (...args: unknown[]) => unknown) : member.bind(port)
    },
    has: (_target, key) => Reflect.has(port, key),
  })
  return { port: proxy, calls }
}

/** Calls that change a device, by port. */
export const changing: Readonly<Record<'flash' | 'agent', readonly string[]>> = {
  flash: ['erase', 'write', 'reset'],
  agent: ['begin', 'write', 'activate', 'rollback'],
}
