import { annotations } from '../content/media-types.ts'
import type { Offer, Representation } from '../plugin/gateway.ts'
import { imageOf, type Release } from '../update/release-line.ts'

const representations = new WeakMap<Release, Representation>()

/** How the image of a release travels. */
export function representationOf(release: Release): Representation {
  const known = representations.get(release)
  if (known !== undefined) return known
  const { image, component } = imageOf(release)
  const { descriptor, crc32 } = image
  const fileName = fileNameOf(descriptor.annotations?.[annotations.title], component)
  const made: Representation = Object.freeze({ descriptor, fileName, crc32, coding: 'identity' })
  representations.set(release, made)
  return made
}

/** What a device is told of a release. */
export function offerOf(seq: number, release: Release): Offer {
  const representation = representationOf(release)
  const { component } = imageOf(release)
  const only = Object.freeze({ component, yields: representation.descriptor.digest, representations: Object.freeze([representation]) })
  return Object.freeze({ seq, version: release.held.verified.version, mode: 'forced', components: Object.freeze([only]) })
}

// A title comes from the registry and goes into a header: keep what is harmless.
function fileNameOf(title: string | undefined, component: string): string {
  const name = (title ?? '')
    .replace(/^.*[/\\]/s, '')
    .replace(/[^A-Za-z0-9._+-]/g, '_')
    .replace(/^\.+/, '')
    .slice(0, 128)
  return name === '' ? `${component}.bin` : name
}
