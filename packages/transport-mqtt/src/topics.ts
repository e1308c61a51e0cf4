import { coreError, isDeviceId } from '@reflash/core'

/**
 * Topics. Direction first, then the device, so that an access list of two lines keeps devices apart (Mosquitto: `pattern write
 * reflash/v1/up/%u/#`, `pattern read reflash/v1/down/%u/#`).
 *
 * | topic | from | payload | QoS |
 * |---|---|---|---|
 * | `{prefix}/v1/up/{id}/check-in` | device | JSON, `wire/check-in.ts` | 1 |
 * | `{prefix}/v1/up/{id}/report` | device | JSON, `wire/report.ts` | 1 |
 * | `{prefix}/v1/up/{id}/image` | device | JSON, `wire/image-request.ts` | 0: asked again for what is missing |
 * | `{prefix}/v1/down/{id}/answer` | server | JSON, `wire/answer.ts` | 1 |
 * | `{prefix}/v1/down/{id}/image` | server | binary, `wire/chunk.ts` | 0: the device asks again for what is missing |
 * | `{prefix}/v1/down/{id}/notice` | server | JSON, `wire/notice.ts` | 1 |
 * | `{prefix}/v1/down/{id}/agent` | server | sealed JSON, `wire/agent-command.ts` | 1 |
 * | `{prefix}/v1/down/{id}/chunk/{instance}` | server | binary, `wire/chunk.ts` | 0: acknowledged by the device itself |
 * | `{prefix}/v1/up/{id}/agent/{instance}` | device | sealed JSON, `wire/agent-answer.ts` | 1 |
 * | `{prefix}/v1/up/{id}/ack/{instance}` | device | binary, `wire/chunk-ack.ts` | 0 |
 *
 * `{id}` is the device's id; a `+`, which no topic may hold, is written `%2B`. `{instance}` is the server process that asked.
 */
export interface Topics {
  up(deviceId: string, kind: UpKind, instance?: string): string
  down(deviceId: string, kind: DownKind, instance?: string): string
  /** What a server subscribes to for one kind. */
  upFilter(kind: UpKind, instance?: string): string
  /** What a device subscribes to. */
  downFilter(deviceId: string): string
  /** Who speaks of what; undefined where the topic is none of these. */
  parseUp(topic: string): { readonly deviceId: string; readonly kind: UpKind; readonly instance?: string } | undefined
  parseDown(topic: string): { readonly kind: DownKind; readonly instance?: string } | undefined
}

const upKinds = ['check-in', 'report', 'image', 'agent', 'ack'] as const
const downKinds = ['answer', 'image', 'notice', 'agent', 'chunk'] as const
export type UpKind = (typeof upKinds)[number]
export type DownKind = (typeof downKinds)[number]

/** Letters of a prefix: with an id and an instance a topic stays far below the 65,535 bytes of MQTT, and readable. */
const prefixLength = 128
const prefixPattern = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/
const instancePattern = /^[0-9a-f]{8,32}$/

/** The topics below a prefix. @throws `INVALID_OPTIONS` */
export function topicsOf(prefix: string): Topics {
  if (typeof prefix !== 'string' || prefix.length > prefixLength || !prefixPattern.test(prefix)) {
    throw coreError('INVALID_OPTIONS', `prefix: expected up to ${prefixLength} letters such as "reflash" or "plant-1/ota", found others`)
  }
  const up = `${prefix}/v1/up/`
  const down = `${prefix}/v1/down/`
  return Object.freeze<Topics>({
    up: (deviceId, kind, instance) => `${up}${segmentOf(deviceId)}/${kind}${instance === undefined ? '' : `/${instance}`}`,
    down: (deviceId, kind, instance) => `${down}${segmentOf(deviceId)}/${kind}${instance === undefined ? '' : `/${instance}`}`,
    upFilter: (kind, instance) => `${up}+/${kind}${instance === undefined ? '' : `/${instance}`}`,
    downFilter: (deviceId) => `${down}${segmentOf(deviceId)}/#`,
    parseUp(topic) {
      if (!topic.startsWith(up)) return undefined
      const [segment = '', kind, instance, ...rest] = topic.slice(up.length).split('/')
      const deviceId = deviceOf(segment)
      const known = upKinds.find((candidate) => candidate === kind)
      if (deviceId === undefined || known === undefined || rest.length > 0) return undefined
      if (known === 'agent' || known === 'ack' ? !isInstance(instance) : instance !== undefined) return undefined
      return { deviceId, kind: known, ...(instance === undefined ? {} : { instance }) }
    },
    parseDown(topic) {
      if (!topic.startsWith(down)) return undefined
      const [, kind, instance, ...rest] = topic.slice(down.length).split('/')
      const known = downKinds.find((candidate) => candidate === kind)
      if (known === undefined || rest.length > 0) return undefined
      if (known === 'chunk' ? !isInstance(instance) : instance !== undefined) return undefined
      return { kind: known, ...(instance === undefined ? {} : { instance }) }
    },
  })
}

const topicPattern = /^[^\s+#/]+(?:\/[^\s+#/]+)*$/

/** Whether a text is a topic below which there can be one for each device. */
export function isTopic(text: unknown): text is string {
  return typeof text === 'string' && text.length <= prefixLength && topicPattern.test(text)
}

/** Where OtaFlux's notification to a device is published. */
export function otafluxTopicOf(otafluxTopic: string, deviceId: string): string {
  return `${otafluxTopic}/${segmentOf(deviceId)}`
}

/** Whether a text can be the instance of a server: a device puts it into a topic. */
export function isInstance(text: unknown): text is string {
  return typeof text === 'string' && instancePattern.test(text)
}

function segmentOf(deviceId: string): string {
  return deviceId.replaceAll('+', '%2B')
}

// One spelling per id: a `%2b`, or a `+` as it is, would be the same device under another access list entry.
function deviceOf(segment: string): string | undefined {
  if (segment.includes('+')) return undefined
  const deviceId = segment.replaceAll('%2B', '+')
  return isDeviceId(deviceId) ? deviceId : undefined
}
