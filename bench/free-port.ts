import { createServer } from 'node:net'

/** A port of loopback that nobody used a moment ago, for servers that cannot choose one by themselves. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address()
      const port = typeof address === 'object' ? address?.port : undefined
      probe.close(() => (port === undefined ? reject(new Error('no free port')) : resolve(port)))
    })
  })
}
