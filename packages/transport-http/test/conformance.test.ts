import { type TransportSuiteOptions, transportSuite } from '@reflash/core/conformance'
import { type HttpTransportOptions, httpTransport } from '@reflash/transport-http'
import { describe, it } from 'vitest'
import { type DialectWords, httpBench, nativeWords, otafluxWords } from './conformance/http-bench.ts'

/** Times that fit into a rule; what they are in earnest is a matter of radio links. */
const limits = { headersTimeoutMs: 300, requestTimeoutMs: 400, checkIntervalMs: 20, drainMs: 400, stallTimeoutMs: 1_000 }

function speaking(words: DialectWords, dialects: NonNullable<HttpTransportOptions['dialects']>): TransportSuiteOptions {
  return {
    make: async () => ({
      plugin: httpTransport({ listen: '127.0.0.1:0', dialects, limits }),
      pull: httpBench(words),
      dispose: async () => {},
    }),
    factory: httpTransport,
    options: { listen: '127.0.0.1:0', dialects, limits },
  }
}

describe('httpTransport, native dialect', () => transportSuite({ describe, it }, speaking(nativeWords, ['native'])))
describe('httpTransport, dialect of OtaFlux', () => transportSuite({ describe, it }, speaking(otafluxWords, ['otaflux'])))
