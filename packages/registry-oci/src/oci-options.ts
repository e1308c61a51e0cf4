import { coreError, throwIfAborted } from '@reflash/core'

/** A user name and a password or token, for Basic authentication and for token servers. */
export interface OciCredentials {
  readonly username: string
  readonly password: string
}

/** Finite bounds of every talk with a registry. Times in milliseconds. */
export interface OciLimits {
  /** How often one request is tried while the registry is unavailable. */
  readonly attempts: number
  /** Time after which no further try is begun, whatever Retry-After says. */
  readonly retryWithinMs: number
  readonly connectTimeoutMs: number
  /** Time without a sign of life until the head of an answer is there; while an upload flows it is taken anew at each chunk. */
  readonly answerTimeoutMs: number
  /** Time between two chunks of an answer. */
  readonly idleTimeoutMs: number
  readonly redirects: number
  /** Connections to one origin. */
  readonly connections: number
  readonly tags: number
  readonly tagPages: number
  /** Referrers of one subject. */
  readonly referrers: number
  /** Time that a push waits for another process that writes the same layout. */
  readonly lockTimeoutMs: number
}

/** Monotonic time in milliseconds, and waiting. */
export interface OciClock {
  now(): number
  /** Rejects when the signal fires. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
}

export interface OciRegistryOptions {
  /** Asked when a registry wants credentials; `host` is `host[:port]` as in the reference, in lower case. */
  readonly credentials?: (host: string) => OciCredentials | undefined | Promise<OciCredentials | undefined>
  /**
   * Who speaks plain http. Absent: loopback hosts only; a list: those `host[:port]` too; `true`: every host; `false`: none, so that a
   * registry on loopback must speak TLS.
   */
  readonly plainHttp?: boolean | readonly string[]
  /** PEM certificates of authorities that are trusted besides those of the runtime. */
  readonly ca?: string | readonly string[]
  /** PEM certificate and key shown to registries, never to other origins that they point to. */
  readonly clientCert?: { readonly cert: string; readonly key: string; readonly passphrase?: string }
  readonly limits?: Partial<OciLimits>
  /** From 0 to 1, for the jitter of retries. */
  readonly random?: () => number
  readonly clock?: OciClock
}

export const defaultOciLimits: OciLimits = Object.freeze({
  // Four tries ride out the restart of a registry behind a load balancer; more would only hide an outage.
  attempts: 4,
  // A caller has its own schedule: half a minute is what a person waits at a terminal.
  retryWithinMs: 30_000,
  connectTimeoutMs: 10_000,
  // Registries with a cold storage backend take seconds for the first byte.
  answerTimeoutMs: 30_000,
  idleTimeoutMs: 30_000,
  // A registry, its load balancer, its storage: three hops are seen in practice.
  redirects: 5,
  // Keeps one registry from eating the file descriptors of a server.
  connections: 64,
  // Ten releases a day for 27 years; bounds memory to some megabytes.
  tags: 100_000,
  tagPages: 1000,
  // What one index may hold: a subject with more is an attack on whoever looks for its signatures.
  referrers: 1000,
  // The lock is held for one small file: ten seconds are a thousand writers.
  lockTimeoutMs: 10_000,
})

const maxLimit = 2 ** 31 - 1

/** Options with every default filled in. */
export interface OciSettings extends Required<Pick<OciRegistryOptions, 'random' | 'clock' | 'credentials'>> {
  readonly plainHttp: boolean | readonly string[] | undefined
  readonly ca: readonly string[]
  readonly clientCert: OciRegistryOptions['clientCert']
  readonly limits: OciLimits
}

/**
 * Fills in defaults and copies what it keeps.
 * @throws `INVALID_OPTIONS`
 */
export function ociSettings(options: OciRegistryOptions): OciSettings {
  const { credentials = () => undefined, plainHttp, ca = [], clientCert, random = Math.random, clock = runtimeClock } = options
  expectThat(typeof credentials === 'function', 'credentials', 'a function (host) => { username, password } | undefined')
  const hosts = Array.isArray(plainHttp) ? [...plainHttp] : plainHttp
  const hostsFine = hosts === undefined || typeof hosts === 'boolean' || (Array.isArray(hosts) && hosts.every(isHost))
  expectThat(hostsFine, 'plainHttp', 'true, false or a list of host[:port]')
  const authorities = typeof ca === 'string' ? [ca] : [...ca]
  expectThat(authorities.every(isPem), 'ca', 'PEM certificates')
  expectThat(clientCert === undefined || (isPem(clientCert.cert) && isPem(clientCert.key)), 'clientCert', '{ cert, key } in PEM')
  expectThat(typeof random === 'function', 'random', 'a function')
  expectThat(typeof clock.now === 'function' && typeof clock.sleep === 'function', 'clock', '{ now, sleep }')
  return Object.freeze({
    credentials,
    plainHttp: Array.isArray(hosts) ? hosts.map((host) => new URL(`http://${host}/`).host) : hosts,
    ca: authorities,
    clientCert: clientCert === undefined ? undefined : { ...clientCert },
    limits: limitsOf(options.limits ?? {}),
    random,
    clock: { now: () => clock.now(), sleep: (milliseconds: number, signal?: AbortSignal) => pause(clock, milliseconds, signal) },
  })
}

function limitsOf(given: Partial<OciLimits>): OciLimits {
  const limits = { ...defaultOciLimits }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    expectThat(Object.hasOwn(defaultOciLimits, name), `limits.${name}`, `one of ${Object.keys(defaultOciLimits).join(', ')}`)
    const least = name === 'redirects' ? 0 : 1
    expectThat(
      Number.isSafeInteger(value) && value >= least && value <= maxLimit,
      `limits.${name}`,
      `an integer from ${least} to ${maxLimit}`,
    )
    limits[name as keyof OciLimits] = value
  }
  return Object.freeze(limits)
}

function isHost(text: unknown): boolean {
  return typeof text === 'string' && !/[/@\s]/.test(text) && URL.canParse(`http://${text}/`)
}

function isPem(text: unknown): boolean {
  return typeof text === 'string' && text.includes('-----BEGIN ')
}

function expectThat(fine: boolean, name: string, expected: string): void {
  // Not the value found: it may be a key or a password in the wrong place.
  if (!fine) throw coreError('INVALID_OPTIONS', `ociRegistry: ${name}: expected ${expected}, found something else`)
}

async function pause(clock: OciClock, milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await clock.sleep(milliseconds, signal)
  } catch (reason) {
    throwIfAborted(signal)
    throw reason
  }
}

const runtimeClock: OciClock = Object.freeze({
  now: () => performance.now(),
  sleep: (milliseconds: number, signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, milliseconds)
      if (signal?.aborted) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
    }),
})
