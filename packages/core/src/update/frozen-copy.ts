/**
 * A deep, frozen copy of plain data, so that whoever gave it cannot change what was proven about it. Bytes and dates are copied too; what
 * has methods of its own (a held image) stays as it is.
 */
export function frozenCopy<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return new Uint8Array(value) as T
  if (value instanceof Date) return new Date(value) as T
  if (Array.isArray(value)) return Object.freeze(value.map(frozenCopy)) as T
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return value
  // fromEntries defines own properties, so that a key named __proto__ stays a key.
  return Object.freeze(Object.fromEntries(Object.entries(value).map(([key, part]) => [key, frozenCopy(part)]))) as T
}
