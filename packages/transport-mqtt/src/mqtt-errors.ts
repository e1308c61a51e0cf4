import { errorsOf } from '@reflash/core'

/** Every code that transport-mqtt throws or answers. docs/errors.md is generated from this table. */
export const mqttErrors = {
  BROKER_UNREACHABLE: {
    fault: 'unavailable',
    means: 'The MQTT broker cannot be reached, or the connection to it broke.',
    next: 'Look at its address, the network and the trusted authorities; what was under way is tried again after the connection is back.',
  },
  BROKER_REFUSED: {
    fault: 'rejected',
    means: 'The MQTT broker refused the user name, the password, the certificate or the client id, or a subscription.',
    next: 'Look at the credentials and at the access list of the broker.',
  },
  BROKER_UNSUPPORTED: {
    fault: 'unsupported',
    means:
      'The MQTT broker lacks something that was asked for: this version of MQTT, shared subscriptions, or packets that are large enough.',
    next: 'Set `version` to 3.1.1, leave out `share`, or use a broker that has it.',
  },
  BROKER_LISTEN_FAILED: {
    fault: 'unavailable',
    means: 'The embedded broker cannot listen on its address.',
    next: 'Stop what uses the port, or choose another address.',
  },
  INVALID_MESSAGE: {
    fault: 'invalid',
    means: 'A message is not what the table above its codec describes.',
    next: 'Correct the member that the message names.',
  },
  CHUNK_CORRUPT: {
    fault: 'invalid',
    means: 'The CRC-32 of a message or chunk is not that of its bytes.',
    next: 'Nothing was used; it is sent again.',
  },
  DEVICE_NOT_AUTHENTICATED: {
    fault: 'rejected',
    means: 'No authenticator knows the device by its topic and the token in its message.',
    next: 'Give the device its token; or, where the broker lets each device publish under its own id only, compose `brokerDevices()`.',
  },
  DEVICE_NOT_ITSELF: {
    fault: 'rejected',
    means: 'The topic of a message names another device than the one that authenticated.',
    next: 'Use the id that belongs to the token.',
  },
  AGENT_REFUSED: {
    fault: 'rejected',
    means: 'The agent on the device refused what it was told.',
    next: '`details.remoteCode` has the reason of the device.',
  },
  AGENT_BUSY: {
    fault: 'unavailable',
    means: 'The agent on the device cannot do what it was told now, or has lost a part of the transfer by a restart.',
    next: 'Push again: the update goes on from what the device has.',
  },
  AGENT_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'The agent on the device has not learned what it was told.',
    next: 'Update the agent by another way.',
  },
  CONNECTION_CLOSED: {
    fault: 'aborted',
    means: 'A connection, a client or the transport was used after it was closed.',
    next: 'Connect again.',
  },
  MQTT_SERVER_SILENT: {
    fault: 'unavailable',
    means: 'No update server answered a device over MQTT in time.',
    next: 'Try again later; look at the prefix, and at whether a server subscribes to it.',
  },
  MQTT_SERVER_BUSY: {
    fault: 'unavailable',
    means: 'The update server answered that it cannot serve now.',
    next: 'Try again later.',
  },
  MQTT_SERVER_REFUSED: {
    fault: 'rejected',
    means: 'The update server refused the device.',
    next: '`details.remoteCode` has the reason of the server.',
  },
  MQTT_REQUEST_REFUSED: {
    fault: 'invalid',
    means: 'The update server answered that a request is wrong, or that there is no such thing.',
    next: '`details.remoteCode` has the reason; check in again for a current offer.',
  },
  MQTT_REQUEST_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'The update server answered that it lacks the power that a request needs.',
    next: '`details.remoteCode` names it.',
  },
  IMAGE_NOT_READ: {
    fault: 'unavailable',
    means: 'The bytes of an offered image cannot be read, most often because the cache has evicted them meanwhile.',
    next: 'Ask again; the image is fetched anew at the next check-in.',
  },
} as const

export const fail = errorsOf(mqttErrors)
