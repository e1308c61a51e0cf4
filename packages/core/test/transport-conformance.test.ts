import { transportSuite } from '@reflash/core/conformance'
import { describe, it } from 'vitest'
import { agentTransport, flashTransport, rightMemory, servingTransport } from './support/transport/right-transports.ts'

const runner = { describe, it }

describe('memoryTransport', () => transportSuite(runner, rightMemory))
describe('framedTransport with a port "agent"', () => transportSuite(runner, agentTransport()))
describe('framedTransport with a port "flash"', () => transportSuite(runner, flashTransport()))
describe('packetTransport', () => transportSuite(runner, servingTransport()))
describe('packetTransport to devices that never report', () => transportSuite(runner, servingTransport({ reports: false })))
