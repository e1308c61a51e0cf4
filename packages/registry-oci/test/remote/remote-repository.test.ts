import { isOtaError } from '@reflash/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mayNotFollow } from '../../src/remote/may-follow.ts'
import { remoteRepository } from '../../src/remote/remote-repository.ts'

const base = (text: string, plainHttp?: boolean | string[]) => remoteRepository(text, plainHttp).base.href

describe('remoteRepository', () => {
  test('speaks https, and plain http with this machine only', () => {
    expect(base('registry.example.com/fw/sensor')).toBe('https://registry.example.com/v2/fw/sensor/')
    expect(base('registry.example.com:80/fw')).toBe('https://registry.example.com:80/v2/fw/')
    for (const host of ['localhost:5000', '127.0.0.1:5000', '127.9.9.9', '[::1]:5000'])
      expect(base(`${host}/a`)).toBe(`http://${host}/v2/a/`)
    for (const host of [
      'localhost.example.com',
      '127.0.0.1.example.com',
      '128.0.0.1',
      '[::2]',
      '10.0.0.1:5000',
      '0.0.0.0',
      'a.localhost',
    ]) {
      expect(base(`${host}/a`)).toBe(`https://${host}/v2/a/`)
    }
  })

  test('speaks plain http with named hosts, with all, or with none', () => {
    expect(base('reg.local:5000/a', ['reg.local:5000'])).toBe('http://reg.local:5000/v2/a/')
    expect(base('reg.local:5001/a', ['reg.local:5000'])).toBe('https://reg.local:5001/v2/a/')
    expect(base('reg.local/a', true)).toBe('http://reg.local/v2/a/')
    expect(base('127.0.0.1:5000/a', false)).toBe('https://127.0.0.1:5000/v2/a/')
    expect(base('127.0.0.1:5000/a', ['other'])).toBe('http://127.0.0.1:5000/v2/a/')
  })

  test('asks Docker Hub where it answers, and keeps its name for credentials', () => {
    expect(base('docker.io/library/alpine')).toBe('https://registry-1.docker.io/v2/library/alpine/')
    expect(remoteRepository('docker.io/library/alpine', undefined).host).toBe('docker.io')
    expect(remoteRepository('Registry.Example.COM/a', undefined).host).toBe('registry.example.com')
  })

  test('refuses names and hosts that the distribution spec does not know, before anything is asked', () => {
    const wrong = [
      'a',
      '/a',
      'h/',
      'h/A',
      'h/a//b',
      'h/a/',
      'h/-a',
      'h/a-',
      'h/a___b',
      'h/a..b',
      'h/../etc',
      'h/a b',
      'h/a%2fb',
      'h/a?b',
      'h/a#b',
    ]
    const hosts = ['-h/a', 'h_1/a', 'u:p@h/a', 'h:/a', 'h:123456/a', 'h:0/a', 'h:99999/a', '[::g]/a', '[]/a', 'h\\x/a', ' h/a', 'é/a']
    for (const text of [...wrong, ...hosts, `h/${'a'.repeat(300)}`]) {
      expect(() => remoteRepository(text, undefined), text).toThrow(expect.objectContaining({ code: 'INVALID_REFERENCE' }))
    }
  })

  test('takes any text without losing its composure, and never leaves the path of the repository', () => {
    const piece = fc.constantFrom('a', 'B', '0', '.', '_', '-', '/', ':', '@', '%', '..', '[::1]', '127.0.0.1', '\\', '?', '#', ' ')
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        try {
          const { base, name } = remoteRepository(pieces.join(''), undefined)
          return base.pathname === `/v2/${name}/` && base.username === '' && base.search === '' && base.hash === ''
        } catch (error) {
          return isOtaError(error) && error.fault === 'invalid'
        }
      }),
    )
  })
})

describe('mayNotFollow', () => {
  const why = (from: string, to: string, plainHttp?: boolean | string[]) => mayNotFollow(new URL(from), new URL(to), plainHttp)

  test('lets registries point to other hosts over https', () => {
    expect(why('https://registry.example.com/', 'https://storage.example.net/x?sig=1')).toBeUndefined()
    expect(why('http://127.0.0.1:5000/', 'https://127.0.0.1:5001/')).toBeUndefined()
    expect(why('http://127.0.0.1:5000/', 'http://127.0.0.1:5001/')).toBeUndefined()
    expect(why('http://127.0.0.1:5000/', 'https://storage.example.net/')).toBeUndefined()
  })

  test('never goes from https to http, also where plain http is allowed', () => {
    expect(why('https://registry.example.com/', 'http://registry.example.com/', true)).toMatch(/https to http/)
  })

  test('goes to plain http only where it is named', () => {
    expect(why('http://reg.local/', 'http://storage.local/', ['reg.local'])).toMatch(/plainHttp/)
    expect(why('http://reg.local/', 'http://storage.local/', ['reg.local', 'storage.local'])).toBeUndefined()
  })

  test('does not let another host make us knock on this machine', () => {
    const loopback = ['https://127.0.0.1:8080/', 'http://localhost/', 'http://[::1]:1/', 'http://2130706433/', 'http://0x7f.1/']
    const likely = [
      'http://0.0.0.0/',
      'http://0/',
      'http://[::]/',
      'http://[::ffff:127.0.0.1]/',
      'http://localhost./',
      'https://a.localhost/',
    ]
    for (const to of [...loopback, ...likely]) {
      expect(why('http://reg.local/', to, true), to).toMatch(/this machine/)
    }
  })

  test('refuses other schemes and credentials in URLs', () => {
    expect(why('https://a.example/', 'ftp://b.example/')).toMatch(/not http/)
    expect(why('https://a.example/', 'file:///etc/passwd')).toMatch(/not http/)
    expect(why('https://a.example/', 'https://user:pass@b.example/')).toMatch(/credentials/)
  })
})
