import type { Json } from '../../content/json.ts'
import type { ImageInfo, Target } from '../../plugin/target.ts'
import { contextOf } from '../content.ts'
import { rulesOf } from '../suite.ts'
import type { TargetInstance } from '../target-suite.ts'
import { heldImage } from './held-image.ts'

export const rule = rulesOf<TargetInstance>('target')

/** What may be said of an image or a device that does not fit. */
export const refusal = { fault: ['rejected', 'invalid', 'unsupported'] } as const

export function inspected({ inspect }: Target, bytes: Uint8Array): Promise<ImageInfo> {
  return inspect(heldImage(bytes), contextOf())
}

/** As it comes back from the journal. */
export function stored(value: Json): Json {
  return JSON.parse(JSON.stringify(value)) as Json
}
