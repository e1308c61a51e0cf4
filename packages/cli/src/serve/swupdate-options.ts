import type { Target } from '@reflash/core'
import { swupdateTarget } from '@reflash/target-swupdate'
import { readSmallFile } from '../files.ts'

/** The options of `reflash serve` for devices with SWUpdate. */
export interface SwupdateFlags {
  readonly swupdate?: string
  readonly swuSigner?: readonly string[]
  readonly swuUnchecked?: boolean
  readonly swuPlatform?: string
}

/** Bytes of a certificate with its chain, or of a public key: eight certificates of 4096 bits have 16 KiB. */
const signerLimitBytes = 65_536

/** What is wrong with these options taken together; undefined where nothing is. */
export function swupdateProblem({ swupdate, swuSigner, swuUnchecked, swuPlatform }: SwupdateFlags): string | undefined {
  if (swupdate === undefined) {
    const stray = Object.entries({ '--swu-signer': swuSigner, '--swu-unchecked': swuUnchecked, '--swu-platform': swuPlatform })
    const [name] = stray.find(([, value]) => value !== undefined) ?? []
    return name === undefined ? undefined : `${name}: expected --swupdate <model> beside it, found none`
  }
  if (swuSigner !== undefined && swuUnchecked === true) return 'expected either --swu-signer or --swu-unchecked, found both'
  if (swuSigner !== undefined || swuUnchecked === true) return undefined
  return '--swupdate needs either --swu-signer <certificate.pem>, which signs the .swu files, or --swu-unchecked'
}

/** The target for devices with SWUpdate. @throws `FILE_NOT_FOUND`, `FILE_NOT_READABLE`, `INVALID_OPTIONS`, `INVALID_PLATFORM` */
export async function swupdateTargetOf({
  swupdate,
  swuSigner = [],
  swuUnchecked,
  swuPlatform,
}: SwupdateFlags): Promise<Target | undefined> {
  if (swupdate === undefined) return undefined
  const texts = swuSigner.map(async (name) => new TextDecoder().decode(await readSmallFile(name, 'a certificate', signerLimitBytes)))
  return swupdateTarget({
    models: [swupdate],
    signers: swuUnchecked === true ? 'unchecked' : await Promise.all(texts),
    ...(swuPlatform === undefined ? {} : { platform: swuPlatform }),
  })
}
