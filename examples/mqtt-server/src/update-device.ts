import type { DeviceState } from '@reflash/core'
import { agentPort, type VirtualEsp32 } from '@reflash/target-esp32/testing'
import type { MqttClient, MqttState } from '@reflash/transport-mqtt/client'

/** What the update code of a device does that has nothing but MQTT: from a check-in to the image that it keeps. */
export async function updateDevice(chip: VirtualEsp32, client: MqttClient, log: (line: string) => void = () => {}): Promise<string> {
  const context = { signal: new AbortController().signal, now: new Date() }
  const { offer, because } = await client.checkIn(stateOf(chip))
  const component = offer?.components[0]
  if (offer === undefined || component === undefined) return because.map(({ code }) => code).join(' ')
  log(`offered ${offer.version}, ${component.size} bytes`)
  const agent = agentPort(chip)
  const { offset } = await agent.begin(component, context)
  let at = offset
  for await (const bytes of client.download(offer, component, { offset })) {
    await agent.write(at, bytes, context)
    at += bytes.length
  }
  await client.report(offer.seq, { state: 'downloaded', received: at })
  await agent.activate(context)
  await client.report(offer.seq, { state: 'installed' })
  chip.boot()
  log('restarted, on trial')
  // Here a real device tests itself.
  chip.markValid()
  await client.checkIn(stateOf(chip))
  const { installed } = chip.state()
  return `${installed?.state} ${installed?.version}`
}

function stateOf(chip: VirtualEsp32): MqttState {
  const { id: _, labels: __, ...state }: DeviceState = chip.state()
  return state
}
