import { setTimeout as pause } from 'node:timers/promises'
import type { AgentDevice, WireFault } from '@reflash/core/conformance'
import { type BrokerLine, openLine } from '../../src/broker-line.ts'
import { type BrokerOptions, checkBroker } from '../../src/broker-options.ts'
import { checkClientLimits } from '../../src/client/client-limits.ts'
import { agentRuntime } from '../../src/client/serve-agent.ts'
import { type Board, board } from './board.ts'
import { imageOf } from './world.ts'

type Deliver = (payload: Uint8Array) => void

/** One direction of a line on which things happen to messages. */
function channel() {
  let fault: WireFault | 'cut' | undefined
  let last: (() => void) | undefined
  let turn: Promise<unknown> = Promise.resolve()
  return {
    spoil(next: WireFault | 'cut' | undefined) {
      fault = next
      last = undefined
    },
    /** What becomes of one message. */
    pass(payload: Uint8Array, deliver: Deliver): void {
      const copy = payload.slice()
      if (fault === 'cut') return
      if (fault === 'slow') {
        turn = turn.then(async () => {
          await pause(3)
          if (fault !== 'cut') deliver(copy)
        })
        return
      }
      if (fault === 'flip' || fault === 'truncate') {
        const spoiled = fault === 'flip' ? copy.slice() : copy.slice(0, copy.length >> 1)
        if (fault === 'flip') spoiled[copy.length >> 1] = (spoiled[copy.length >> 1] ?? 0) ^ 0x10
        fault = undefined
        deliver(spoiled)
        return
      }
      deliver(copy)
      if (fault === 'duplicate') deliver(copy.slice())
      if (fault !== 'stale') return
      last?.()
      last = () => deliver(copy.slice())
    },
  }
}

/** A board behind a broker, whose messages can be lost, doubled, late or damaged on their way. */
export async function wiredBoard(
  id: string,
  broker: BrokerOptions,
  token: string,
  sizeBytes: number,
): Promise<AgentDevice & { board: Board }> {
  const device = board(id, imageOf('1.0.0', 100))
  const checked = checkBroker(broker)
  const limits = checkClientLimits({})
  const { topics } = checked
  const line = await openLine(checked, limits)
  const [down, up] = [channel(), channel()]
  const spoiledLine: BrokerLine = {
    ...line,
    isConnected: true,
    async publish(topic, payload, options) {
      up.pass(payload, (passed) => void line.publish(topic, passed, options).catch(() => undefined))
    },
  }
  const runtime = agentRuntime({ deviceId: id, token, line: spoiledLine, topics, limits, agent: { port: device.port } })
  line.onMessage((topic, payload) => {
    const about = topics.parseDown(topic)
    if (about?.kind === 'agent') down.pass(payload, (passed) => runtime.command(passed))
    if (about?.kind === 'chunk') down.pass(payload, (passed) => runtime.chunk(about.instance as string, passed))
  })
  await line.subscribe(topics.downFilter(id))
  return {
    board: device,
    device: { id, model: 'board' },
    images: [imageOf('1.1.0', sizeBytes), imageOf('1.2.0', sizeBytes + 77)],
    staged: async () => device.staged,
    runs: async () => device.running,
    state: async () => device.state(),
    wire: {
      faults: ['deaf', 'mute', 'slow', 'duplicate', 'stale', 'flip', 'truncate'],
      async cut() {
        down.spoil('cut')
        up.spoil('cut')
      },
      async spoil(fault) {
        if (fault !== 'mute') down.spoil(fault === 'deaf' ? 'cut' : fault)
        if (fault !== 'deaf') up.spoil(fault === 'mute' ? 'cut' : fault)
      },
      async mend() {
        down.spoil(undefined)
        up.spoil(undefined)
      },
    },
    async dispose() {
      await runtime.close()
      await line.close()
    },
  }
}
