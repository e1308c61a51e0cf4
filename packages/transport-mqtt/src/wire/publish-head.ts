/**
 * What a PUBLISH packet of QoS 0 has before its payload (MQTT 3.1.1 and 5, section 3.3), and the first `head` bytes of that:
 *
 *   off  size  field
 *     0     1  0x30: PUBLISH, QoS 0, not retained, no duplicate
 *     1  1..4  bytes of all that follows, the payload among it: 7 bits a byte, the least first, 0x80 where there is more
 *     .     2  bytes of the topic, big endian
 *     .     n  topic, UTF-8
 *     .     1  MQTT 5 alone: bytes of the properties, 0
 *     .     m  `head`
 *
 * `restBytes` is what the payload has behind `head`.
 */
export function publishHead(version: '5' | '3.1.1', topic: string, head: Uint8Array, restBytes: number): Uint8Array {
  const topicBytes = Buffer.byteLength(topic)
  const propertyBytes = version === '5' ? 1 : 0
  const remaining = 2 + topicBytes + propertyBytes + head.length + restBytes
  const packet = Buffer.allocUnsafe(1 + lengthBytes(remaining) + remaining - restBytes)
  let at = packet.writeUInt8(0x30, 0)
  for (let left = remaining; ; left >>>= 7) {
    at = packet.writeUInt8(left > 127 ? (left & 127) | 128 : left, at)
    if (left <= 127) break
  }
  at = packet.writeUInt16BE(topicBytes, at)
  at += packet.write(topic, at)
  if (propertyBytes > 0) at = packet.writeUInt8(0, at)
  packet.set(head, at)
  return packet
}

function lengthBytes(length: number): number {
  return length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : 4
}
