import { join } from 'node:path'
import {
  type CheckInAnswer,
  createGateway,
  diskCache,
  type Gateway,
  type OtaEvent,
  type Registry,
  tokenDevices,
  unattestedDevices,
} from '@reflash/core'
import { cosignVerifier } from '@reflash/registry-oci'
import { sqlStore } from '@reflash/store-sql'
import { esp32Target } from '@reflash/target-esp32'
import { httpTransport } from '@reflash/transport-http'
import { demoProduct } from './demo-releases.ts'

export interface DemoServer extends AsyncDisposable {
  readonly url: string
  readonly opens: readonly string[]
}

/** Starts what `reflash serve` starts, with shorter times: a new tag is seen at the next check-in. */
export async function demoServer(options: {
  readonly folder: string
  readonly repository: string
  readonly registry: Registry
  readonly publicKeyPem: string
  readonly tokens: Readonly<Record<string, string>>
  readonly listen: string
  readonly onEvent: (event: OtaEvent) => void
  readonly onAnswer: (answer: CheckInAnswer) => void
}): Promise<DemoServer> {
  const { folder, onAnswer } = options
  const authenticators = [tokenDevices(options.tokens)]
  const gateway = createGateway({
    repository: options.repository,
    product: demoProduct,
    registry: options.registry,
    verifiers: [cosignVerifier({ keys: [options.publicKeyPem] })],
    targets: [esp32Target()],
    authenticators,
    attestation: [unattestedDevices()],
    journal: sqlStore({ file: join(folder, 'journal.db') }),
    cache: diskCache({ directory: join(folder, 'cache') }),
    times: { freshMs: 100, staleMs: 200 },
    onEvent: options.onEvent,
  })
  const watched: Gateway = {
    ...gateway,
    checkIn: async (...args) => {
      const answer = await gateway.checkIn(...args)
      onAnswer(answer)
      return answer
    },
  }
  const { composition } = gateway
  try {
    const serving = await httpTransport({ listen: options.listen }).serve({ gateway: watched, authenticators })
    return {
      url: serving.addresses[0] as string,
      opens: composition.opens,
      async [Symbol.asyncDispose]() {
        await serving[Symbol.asyncDispose]()
        await composition.close()
      },
    }
  } catch (error) {
    await composition.close()
    throw error
  }
}
