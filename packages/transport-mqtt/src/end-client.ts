import type { MqttClient } from 'mqtt'

/** How long a goodbye may take; the broker needs none. */
export const goodbyeMs = 2_000

/** The client's own end waits for acknowledgements, and for ever where none come. */
export function endClient(client: MqttClient): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      client.end(true)
      client.stream?.destroy()
      resolve()
    }, goodbyeMs)
    client.end(!client.connected, () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
