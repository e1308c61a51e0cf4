import { isOtaError } from '@reflash/core'
import { expect, test } from 'vitest'
import type { Route } from '../src/protocol/dialect.ts'
import { createRouter } from '../src/router.ts'

const route = (method: Route['method'], path: string): Route => ({
  name: `${method} ${path}`,
  method,
  path,
  answer: () => ({ status: 200, headers: [], length: 0 }),
  refuse: () => ({ status: 500, headers: [], length: 0 }),
})
const routes = [route('GET', '/a'), route('POST', '/a'), route('GET', '/a/:x/b'), route('GET', '/a/fixed/b'), route('PUT', '/:t/c/:y')]
const router = createRouter(routes)

const found = (method: string, path: string): unknown => {
  try {
    const { route, params } = router.find(method, path)
    return [route.name, ...params]
  } catch (error) {
    return isOtaError(error) ? [error.code, ...Object.values(error.details)] : error
  }
}

test.each<[string, string, readonly unknown[]]>([
  ['GET', '/a', ['GET /a']],
  ['HEAD', '/a', ['GET /a']],
  ['POST', '/a', ['POST /a']],
  ['DELETE', '/a', ['METHOD_NOT_ALLOWED', 'GET, HEAD, POST']],
  ['GET', '/a/1/b', ['GET /a/:x/b', '1']],
  ['GET', '/a/fixed/b', ['GET /a/fixed/b']],
  ['GET', '/a/%66ixed/b', ['GET /a/:x/b', 'fixed']],
  ['GET', '/a/x%2Fy/b', ['GET /a/:x/b', 'x/y']],
  ['GET', '/a/%E0%A4%A/b', ['INVALID_PATH']],
  ['PUT', '/tenant/c/9', ['PUT /:t/c/:y', 'tenant', '9']],
  ['GET', '/', ['UNKNOWN_PATH']],
  ['GET', '/a/', ['UNKNOWN_PATH']],
  ['GET', '/a//b', ['UNKNOWN_PATH']],
  ['GET', '//a', ['UNKNOWN_PATH']],
  ['GET', '/a/1', ['UNKNOWN_PATH']],
  ['GET', '/a/1/b/2', ['UNKNOWN_PATH']],
  ['GET', '/A', ['UNKNOWN_PATH']],
  ['GET', '/__proto__', ['UNKNOWN_PATH']],
])('%s %s is %j', (method, path, expected) => {
  expect(found(method, path)).toEqual(expected)
})

test('a prefix is part of every path', () => {
  const prefixed = createRouter(routes, '/ota')
  expect(prefixed.has('/ota/a')).toBe(true)
  expect(prefixed.has('/a')).toBe(false)
})

test('two routes of one method and path are refused when the router is made', () => {
  expect(() => createRouter([route('GET', '/a'), route('GET', '/a')])).toThrow(/two of them have a route GET \/a/)
})
