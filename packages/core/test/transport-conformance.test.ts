import { transportSuite } from '@reflash/core/conformance'
import { describe, it } from 'vitest'
import { rightAgentTransport, rightFlashTransport, rightMemory, rightServeTransport } from './support/transport/right-transports.ts'

const runner = { describe, it }

describe('memoryTransport', () => transportSuite(runner, rightMemory))
describe('framedTransport with a port "agent"', () => transportSuite(runner, rightAgentTransport))
describe('framedTransport with a port "flash"', () => transportSuite(runner, rightFlashTransport))
describe('packetTransport', () => transportSuite(runner, rightServeTransport()))
describe('packetTransport to devices that never report', () => transportSuite(runner, rightServeTransport(false)))
