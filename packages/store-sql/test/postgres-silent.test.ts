import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Kysely, sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { postgresDialect, postgresFailure } from '../src/postgres.ts'
import { hasPostgres, startPostgres } from './postgres-server.ts'

const times = { connectMs: 200, statementMs: 100, answerMs: 200, idleMs: 10_000, aliveMs: 1_000 }

// Backend messages, PostgreSQL protocol 3.0: AuthenticationOk, ReadyForQuery (idle).
const ready = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49])

/** A server that lets everybody in and never answers a query: as one behind a line that has died without a word. */
async function silentServer(welcome: Buffer | undefined) {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.once('data', () => welcome && socket.write(welcome))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { url: `postgres://ota@127.0.0.1:${port}/reflash`, connections: () => connections }
}

test.each([
  ['lets us in and never answers', true],
  ['does not even greet', false],
])('a server that %s is unavailable after a while, and asked anew over another connection', async (_, greets) => {
  const server = await silentServer(greets ? ready : undefined)
  const options = { url: server.url, schema: 'reflash', connections: 1, shown: 'postgres://here' }
  const db = new Kysely({ dialect: postgresDialect(options, times) })
  onTestFinished(() => db.destroy().catch(() => undefined))
  for (const attempt of [1, 2]) {
    const error = await sql`SELECT 1`.execute(db).catch((thrown: unknown) => thrown)
    expect(postgresFailure(error, options.shown)).toMatchObject({ code: 'JOURNAL_UNAVAILABLE', fault: 'unavailable' })
    expect(server.connections()).toBe(attempt)
  }
})

/** A line to a server, on which connections that are open can go silent. */
async function lineTo(url: URL) {
  const open = new Set<Socket>()
  const line = createServer((near) => {
    const far = connect(Number(url.port), url.hostname)
    for (const socket of [near, far]) {
      open.add(socket)
      socket.on('error', () => undefined)
    }
    near.pipe(far)
    far.pipe(near)
  })
  line.listen(0, '127.0.0.1')
  await once(line, 'listening')
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    line.close()
  })
  const through = new URL(url)
  through.port = String((line.address() as AddressInfo).port)
  const silence = (): void => {
    for (const socket of open) socket.unpipe().on('data', () => undefined)
  }
  return { url: String(through), silence }
}

test.skipIf(!hasPostgres())('a connection that has gone silent is left: what comes after it goes over another', async () => {
  const server = await startPostgres()
  onTestFinished(() => server.stop())
  const { url, silence } = await lineTo(new URL(server.url))
  const options = { url, schema: 'reflash', connections: 1, shown: 'postgres://here' }
  const db = new Kysely({ dialect: postgresDialect(options, { ...times, connectMs: 5_000, answerMs: 2_000, statementMs: 2_000 }) })
  onTestFinished(() => db.destroy())
  const ask = () => sql`SELECT 1 AS one`.execute(db)
  expect((await ask()).rows).toEqual([{ one: 1 }])
  silence()
  const error = await ask().catch((thrown: unknown) => thrown)
  expect(postgresFailure(error, options.shown)).toMatchObject({ code: 'JOURNAL_UNAVAILABLE', fault: 'unavailable' })
  expect((await ask()).rows).toEqual([{ one: 1 }])
})
