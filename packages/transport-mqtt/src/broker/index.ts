export type { BrokerOptions, MqttTls } from '../broker-options.ts'
export { type EmbeddedBroker, embeddedBroker } from './embedded-broker.ts'
export type { EmbeddedBrokerOptions } from './embedded-options.ts'
