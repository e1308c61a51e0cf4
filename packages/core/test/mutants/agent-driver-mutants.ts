import { type AgentPort, type Digest, digestOf, type RunContext } from '@reflash/core'
import { targetRules } from '@reflash/core/conformance'
import { agentBench } from '../support/memory-bench.ts'
import { rightAgentTarget } from '../support/right-plugins.ts'
import { brokenLineMutants, delivering, driverMutant, drivingMutants, portWith, through, wrongImageMutants } from './driver-mutants.ts'
import { type Mutant, mutantsOf } from './mutant.ts'

const mutant = driverMutant('agent', rightAgentTarget)
const { instance } = mutantsOf(targetRules, rightAgentTarget)
type Begin = { readonly digest: Digest; readonly size: number }

export const agentMutants: readonly Mutant[] = [
  ...drivingMutants(mutant),
  mutant('begins', 'announces an image twice', ({ deliver }) => ({
    deliver: async (plan, image, port, context) => {
      const { digest, size } = image.descriptor
      if (!context.signal.aborted) await (port as AgentPort).begin({ digest, size }, context)
      return deliver(plan, image, port, context)
    },
  })),
  mutant(
    'contiguous',
    'writes an empty chunk before each',
    through((port) => {
      const agent = port as AgentPort
      return portWith(agent, {
        write: async (offset: number, bytes: Uint8Array, context: RunContext) => {
          await agent.write(offset, new Uint8Array(), context)
          await agent.write(offset, bytes, context)
        },
      })
    }),
  ),
  mutant(
    'from-offset',
    'sends the beginning where the agent asks for the rest',
    delivering(({ descriptor, open }) => ({
      open: (range) => open(range !== undefined && range.offset < descriptor.size ? { ...range, offset: 0 } : range),
    })),
  ),
  mutant(
    'small-chunks',
    'sends chunks of 16 bytes, whatever the agent takes',
    through((port) => portWith(port, { maxChunkBytes: 16 })),
  ),
  instance('agent/resume', 'says that it goes on where its agents begin anew', (made) => ({
    ...made,
    agent: async () => {
      const bench = agentBench()
      const begin = async (image: Begin, context: RunContext) => {
        await bench.port.begin({ digest: digestOf(new Uint8Array()), size: 0 }, context)
        return bench.port.begin(image, context)
      }
      return { ...bench, port: portWith(bench.port, { begin }) }
    },
  })),
  ...wrongImageMutants(mutant),
  ...brokenLineMutants(mutant, { passesOn: false }),
]
