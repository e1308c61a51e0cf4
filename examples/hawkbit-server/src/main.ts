import { readFileSync } from 'node:fs'
import { updateServer } from './update-server.ts'

const { REPOSITORY, PUBLIC_KEY = 'cosign.pub', SIGNER = 'updates.crt', DEVICE_ID = 'gate-1', DEVICE_TOKEN } = process.env
const { STATE = '.reflash', LISTEN = '127.0.0.1:8080' } = process.env
if (REPOSITORY === undefined || DEVICE_TOKEN === undefined) {
  console.error(
    'Set REPOSITORY (host/repository or oci:<dir>), DEVICE_TOKEN, and where they differ PUBLIC_KEY (cosign.pub), SIGNER (updates.crt), DEVICE_ID (gate-1), STATE, LISTEN.',
  )
  process.exit(2)
}
const server = await updateServer({
  repository: REPOSITORY,
  publicKey: readFileSync(PUBLIC_KEY, 'utf8'),
  signer: readFileSync(SIGNER, 'utf8'),
  tokens: { [DEVICE_ID]: DEVICE_TOKEN },
  state: STATE,
  listen: LISTEN,
})
console.log(`listening on ${server.addresses.join(', ')}`)
process.once('SIGINT', () => void server[Symbol.asyncDispose]())
process.once('SIGTERM', () => void server[Symbol.asyncDispose]())
