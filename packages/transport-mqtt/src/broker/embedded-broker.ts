import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { type Authenticator, isDeviceId } from '@reflash/core'
import { Aedes, type AedesOptions, type AuthErrorCode, type Client } from 'aedes'
import type { BrokerOptions } from '../broker-options.ts'
import { fail } from '../mqtt-errors.ts'
import { otafluxTopicOf } from '../topics.ts'
import { checkEmbedded, type EmbeddedBrokerOptions } from './embedded-options.ts'
import { guardPackets } from './packet-guard.ts'
import { type SlowReaders, slowReaders } from './slow-readers.ts'

/** A broker in this process. */
export interface EmbeddedBroker extends AsyncDisposable {
  /** Where devices connect. */
  readonly url: string
  /** How the transport of this process connects: the one client that may speak to all devices. */
  readonly server: Required<Pick<BrokerOptions, 'url' | 'version' | 'username' | 'password' | 'prefix'>> & Pick<BrokerOptions, 'tls'>
}

/** Connections; each holds some 50 KB. */
const connectionLimit = 2048
/** Bytes of one packet: the largest message of this transport, and its topic. */
const packetLimitBytes = 128 * 1024
/** Letters of a client id; those of this client have 24. */
const clientIdLimit = 256
/** Milliseconds between connecting and the first packet; a device on 2G, several times. */
const connectMs = 10_000
/** Messages of one device that wait for its authenticator. */
const queueLimit = 42
/** No device id begins so. */
const serverName = '$server'

/**
 * Starts an MQTT 3.1.1 broker in this process, for one machine and for tests. Each device may publish below its own `up` topics and subscribe
 * below its own `down` topics, and nothing else: what `brokerDevices()` believes holds here. It keeps no sessions and takes no wills.
 * @throws `INVALID_OPTIONS`, `BROKER_LISTEN_FAILED`
 */
export async function embeddedBroker(options: EmbeddedBrokerOptions): Promise<EmbeddedBroker> {
  const { authenticators, host, port, tls, prefix, otafluxTopic, topics } = checkEmbedded(options)
  const password = randomBytes(32).toString('hex')
  const readers = slowReaders()
  const broker = await Aedes.createBroker({
    connectTimeout: connectMs,
    queueLimit,
    preConnect: (_client, packet, done) => {
      const isAllowed = packet.clean === true && packet.will === undefined && packet.clientId.length <= clientIdLimit
      // The broker ends the older of two clients that share an id: each device has ids of its own, which no other can take from it.
      if (packet.clientId !== '') packet.clientId = `${packet.username ?? ''}/${packet.clientId}`
      done(null, isAllowed)
    },
    authenticate: authenticateBy(authenticators, password),
    authorizeForward: (client, packet) => (readers.hasRoom(client.conn as Socket, nameOf(client) === serverName) ? packet : null),
    authorizePublish: (client, { topic, retain, qos }, done) => {
      const who = nameOf(client)
      const from = topics.parseUp(topic)
      // Nothing here is published with QoS 2, of which the broker would keep a thousand packets for each device.
      if (who === serverName || (from !== undefined && from.deviceId === who && !retain && qos !== 2)) done(null)
      else done(new Error('expected a topic of this device, found another'))
    },
    authorizeSubscribe: (client, subscription, done) => {
      const who = nameOf(client) ?? ''
      const { topic } = subscription
      const isOwn = topic === topics.downFilter(who) || (otafluxTopic !== undefined && topic === otafluxTopicOf(otafluxTopic, who))
      done(null, who === serverName || isOwn ? subscription : null)
    },
  })
  const server =
    tls === undefined ? createServer() : createTlsServer({ cert: tls.cert as string, key: tls.key as string, minVersion: 'TLSv1.2' })
  const sockets = attach(server, broker, readers, tls !== undefined)
  try {
    await listening(server, host, port)
  } catch (error) {
    // It has timers of its own, which would keep this process alive.
    await new Promise<void>((resolve) => broker.close(() => resolve()))
    throw error
  }
  const bound = server.address() as AddressInfo
  const shown = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  const url = `${tls === undefined ? 'mqtt' : 'mqtts'}://${shown}:${bound.port}`
  let ended: Promise<void> | undefined
  return Object.freeze<EmbeddedBroker>({
    url,
    server: { url, version: '3.1.1', username: serverName, password, prefix, ...(tls === undefined ? {} : { tls: { pinned: tls.cert } }) },
    [Symbol.asyncDispose]() {
      ended ??= new Promise((resolve) => {
        server.close(() => resolve())
        broker.close(() => {
          for (const socket of sockets) socket.destroy()
        })
      })
      return ended
    },
  })
}

type Authenticate = NonNullable<AedesOptions['authenticate']>

const names = new WeakMap<Client, string>()

function nameOf(client: Client | null): string | undefined {
  return client === null ? undefined : names.get(client)
}

function authenticateBy(authenticators: readonly Authenticator[], serverPassword: string): Authenticate {
  const expected = digestOf(serverPassword)
  return (client, username, password, done) => {
    const token = password?.toString('utf8')
    if (username === serverName) {
      const isServer = token !== undefined && timingSafeEqual(digestOf(token), expected)
      if (isServer) names.set(client, serverName)
      return done(null, isServer)
    }
    knows(authenticators, username, token).then(
      (isKnown) => {
        if (isKnown) names.set(client, username as string)
        done(null, isKnown)
      },
      // It fails closed; the device comes again.
      () => done(Object.assign(new Error('the authenticator failed'), { returnCode: 3 as AuthErrorCode }), false),
    )
  }
}

async function knows(authenticators: readonly Authenticator[], id: string | undefined, token: string | undefined): Promise<boolean> {
  if (!isDeviceId(id)) return false
  // Without the topic: it is this broker that others are to believe it of.
  const seen = { claimedId: id, ...(token === undefined ? {} : { token }) }
  for (const authenticator of authenticators) {
    const principal = await authenticator.authenticate(seen, { signal: AbortSignal.timeout(connectMs) })
    if (principal !== undefined) return principal.deviceId === id
  }
  return false
}

function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function attach(server: Server, broker: Aedes, readers: SlowReaders, isTls: boolean): ReadonlySet<Socket> {
  const sockets = new Set<Socket>()
  server.maxConnections = connectionLimit
  server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // Small answers at once, not together with the next.
    socket.setNoDelay(true)
    guardPackets(socket, packetLimitBytes)
    readers.watch(broker.handle(socket), socket)
  })
  // A failed handshake, or a failed accept, is that client's affair.
  server.on('tlsClientError', () => {})
  return sockets
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on('error', (cause: NodeJS.ErrnoException) => {
      const message = `expected to listen on ${host}:${port}, found ${cause.code ?? 'an error'}`
      reject(fail('BROKER_LISTEN_FAILED', message, { cause }))
    })
    server.listen({ host, port }, resolve)
  })
}
