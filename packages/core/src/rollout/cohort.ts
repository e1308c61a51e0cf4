import { createHash } from 'node:crypto'

/** The place of a device among all devices: the first four bytes of its id's SHA-256. Stored with it, so that a wave is a range of an index. */
export function bucketOf(deviceId: string): number {
  return firstBytes(`device/${deviceId}`)
}

/** Where a deployment begins to count: another place for each, so that not the same devices are always the first. */
export function startOf(deploymentId: string): number {
  return firstBytes(`deployment/${deploymentId}`)
}

function firstBytes(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE(0)
}
