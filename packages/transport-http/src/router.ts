import { fail } from './http-errors.ts'
import type { Route } from './protocol/dialect.ts'

/** A route and the decoded values of its parameters. */
export interface Found {
  readonly route: Route
  readonly params: readonly string[]
}

export interface Router {
  /** @throws `UNKNOWN_PATH`, `METHOD_NOT_ALLOWED` (details.allow), `INVALID_PATH` */
  find(method: string, path: string): Found
  /** Whether any method has a route at this path. */
  has(path: string): boolean
}

interface Node {
  readonly children: Map<string, Node>
  any: Node | undefined
  readonly methods: Map<string, Route>
}

const node = (): Node => ({ children: new Map(), any: undefined, methods: new Map() })
const none: readonly string[] = Object.freeze([])

/** A tree of segments made once: a look-up walks the path and runs no expression on it, so its time is bounded by the path's length. */
export function createRouter(routes: readonly Route[], prefix = ''): Router {
  const root = node()
  for (const route of routes) add(root, `${prefix}${route.path}`, route)
  return Object.freeze({
    find(method: string, path: string): Found {
      const params: string[] = []
      const end = walk(root, path, params)
      if (end === undefined || end.methods.size === 0) throw fail('UNKNOWN_PATH', 'expected a path of this server, found another')
      const route = end.methods.get(method)
      if (route === undefined) {
        const allow = [...end.methods.keys()].join(', ')
        throw fail('METHOD_NOT_ALLOWED', `expected ${allow} at this path`, { details: { allow } })
      }
      return { route, params: params.length === 0 ? none : decoded(params) }
    },
    has(path: string): boolean {
      const end = walk(root, path, [])
      return end !== undefined && end.methods.size > 0
    },
  })
}

function add(root: Node, path: string, route: Route): void {
  let at = root
  for (const segment of path.slice(1).split('/')) {
    if (segment.startsWith(':')) {
      at.any ??= node()
      at = at.any
    } else {
      let next = at.children.get(segment)
      if (next === undefined) {
        next = node()
        at.children.set(segment, next)
      }
      at = next
    }
  }
  for (const method of route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]) {
    if (at.methods.has(method)) throw fail('INVALID_OPTION', `dialects: two of them have a route ${method} ${path}`)
    at.methods.set(method, route)
  }
}

function walk(root: Node, path: string, params: string[]): Node | undefined {
  let at = root
  let start = 1
  for (;;) {
    const slash = path.indexOf('/', start)
    const segment = slash < 0 ? path.slice(start) : path.slice(start, slash)
    let next = at.children.get(segment)
    if (next === undefined) {
      next = at.any
      if (next === undefined || segment === '') return undefined
      params.push(segment)
    }
    at = next
    if (slash < 0) return at
    start = slash + 1
  }
}

function decoded(params: string[]): readonly string[] {
  for (let index = 0; index < params.length; index++) {
    const value = params[index] as string
    if (value.includes('%')) params[index] = percentDecoded(value)
  }
  return params
}

/** @throws `INVALID_PATH` */
function percentDecoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    throw fail('INVALID_PATH', 'expected percent-encoded UTF-8 in the path, found something else')
  }
}
