export type { BrokerOptions, MqttTls } from '../broker-options.ts'
export { type EmbeddedBroker, type EmbeddedBrokerOptions, embeddedBroker } from './embedded-broker.ts'
