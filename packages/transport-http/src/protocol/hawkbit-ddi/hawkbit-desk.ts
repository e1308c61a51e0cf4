import type { CheckInAnswer, Offer, Principal, Representation } from '@reflash/core'
import { fail } from '../../http-errors.ts'
import type { HttpRequest } from '../../http-message.ts'
import { deviceIdOf } from '../../names.ts'
import type { DialectContext } from '../dialect.ts'
import { plainOf } from '../native/check-in.ts'
import { hawkbitToken } from './gateway-token.ts'
import { createImageHashes, type ImageHashes } from './image-hashes.ts'
import { originOf } from './origin.ts'

/** What is known of a device beside the gateway's records, for as long as this process lives. */
export interface Visitor {
  /** It has put its attributes since this server has begun, and since its last update. */
  told: boolean
  /** What it was offered last. */
  offer: Offer | undefined
  /** What it has installed last. */
  installed: Offer | undefined
}

/** What the routes of this dialect share. */
export interface Desk {
  readonly context: DialectContext
  readonly hashes: ImageHashes
  admit(request: HttpRequest, controllerId: string | undefined): Promise<Principal>
  visitor(deviceId: string): Visitor
  /** Asks the gateway what the device is to do. */
  ask(request: HttpRequest, who: Principal): Promise<CheckInAnswer>
  /** The absolute URL of a controller's resources, without a slash at its end. */
  urlOf(request: HttpRequest, deviceId: string): string
}

/** Devices that are remembered; one that is forgotten puts its attributes once more. */
const visitorLimit = 100_000

export function createDesk(context: DialectContext, path: string, model: string | undefined): Desk {
  const visitors = new Map<string, Visitor>()
  const reported = Object.freeze(model === undefined ? {} : { model })
  return Object.freeze<Desk>({
    context,
    hashes: createImageHashes(context.gateway),
    admit: (request, controllerId) => context.admit(request, deviceIdOf(controllerId), hawkbitToken(request.header('authorization'))),
    visitor(deviceId) {
      const known = visitors.get(deviceId)
      const visitor = known ?? { told: false, offer: undefined, installed: undefined }
      // The one that has not been here for longest comes first.
      visitors.delete(deviceId)
      visitors.set(deviceId, visitor)
      const [oldest] = visitors.keys()
      if (visitors.size > visitorLimit && oldest !== undefined) visitors.delete(oldest)
      return visitor
    },
    ask: (request, who) => context.gateway.checkIn(who, reported, undefined, { installed: 'remembered', signal: request.signal }),
    urlOf: (request, deviceId) => `${originOf(request, context.baseUrl)}${path}/${encodeURIComponent(deviceId)}`,
  })
}

/** The one image of an offer. @throws `HAWKBIT_UNFIT` */
export function imageOf({ components }: Offer): Representation {
  const image = plainOf(components[0]?.representations ?? [])
  if (components.length === 1 && image !== undefined) return image
  throw fail('HAWKBIT_UNFIT', `expected an offer of one plain image, found one of ${components.length} components`)
}

export function noSuchAction(): Error {
  return fail('NO_SUCH_ACTION', 'expected the action that this controller is to work on, found another; poll again')
}
