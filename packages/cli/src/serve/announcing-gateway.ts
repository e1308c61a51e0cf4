import { type CheckInAnswer, type Gateway, isOtaError } from '@reflash/core'
import type { MqttTransport } from '@reflash/transport-mqtt'
import type { ServerLog } from './server-log.ts'

/** Devices whose last notification is known; of more, the one that was told first is told again. Some 100 bytes each. */
const rememberedLimit = 100_000

/** The same gateway; a version that it offers to a device is announced, once. That nobody can be told now is logged, and tried at the next check-in. */
export function announcingGateway(gateway: Gateway, announce: MqttTransport['announce'], log: ServerLog): Gateway {
  const told = new Map<string, string>()

  async function tell(deviceId: string, { offer }: CheckInAnswer): Promise<void> {
    const descriptor = offer?.components[0]?.representations[0]?.descriptor
    if (offer === undefined || descriptor === undefined || told.get(deviceId) === offer.version) return
    told.delete(deviceId)
    told.set(deviceId, offer.version)
    const first = told.size > rememberedLimit ? told.keys().next().value : undefined
    if (first !== undefined) told.delete(first)
    try {
      await announce(deviceId, { version: offer.version, size: descriptor.size })
    } catch (error) {
      told.delete(deviceId)
      log.record('warn', 'a version was not announced', { deviceId, code: isOtaError(error) ? error.code : 'INTERNAL' })
    }
  }

  return Object.freeze<Gateway>({
    ...gateway,
    async checkIn(who, ...said) {
      const answer = await gateway.checkIn(who, ...said)
      // A device does not wait for what others are told.
      void tell(who.deviceId, answer)
      return answer
    },
  })
}
