import { collect } from '@reflash/core'
import { nativeClient } from '@reflash/transport-http/client'

const installed = new Map<string, string>()

/** What a device does at one check-in, over HTTP: it takes what it is offered, unless the new image breaks on it, and says why it got nothing. */
export async function updateDevice(server: string, deviceId: string, breaks: boolean): Promise<string> {
  const version = installed.get(deviceId) ?? '1.0.0'
  const client = nativeClient({ server, deviceId })
  try {
    const state = { model: 'esp32c3', installed: { version, state: 'confirmed' as const } }
    const { offer, because } = await client.checkIn(state)
    const component = offer?.components[0]
    if (offer === undefined || component === undefined) return `${deviceId} ${version}: ${because[0]?.code}`
    await collect(client.download(component), component.size)
    if (breaks) {
      await client.report(offer.seq, { state: 'rolled-back', code: 'SELF_TEST' })
      return `${deviceId} ${version}: rolled back from ${offer.version}`
    }
    await client.report(offer.seq, { state: 'installed' })
    installed.set(deviceId, offer.version)
    await client.checkIn({ ...state, installed: { version: offer.version, state: 'confirmed' } })
    return `${deviceId} ${offer.version}: confirmed`
  } finally {
    client.close()
  }
}
