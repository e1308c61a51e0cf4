import { describe } from 'vitest'
import { mosquittoPath, subscriberPath } from './mosquitto.ts'

const isThere = mosquittoPath !== undefined && subscriberPath !== undefined
if (!isThere && process.env.CI) throw new Error('expected mosquitto; install with: apt-get install mosquitto mosquitto-clients')

/** Tests beside the real broker; announced as skipped where it is missing. */
export const describeMosquitto = describe.skipIf(!isThere)
