import { ok } from 'node:assert/strict'
import type { ByteRange } from '../../plugin/cache.ts'
import { damaged, sampleBytes } from '../content.ts'
import { brokenSource, plainSource } from '../sources.ts'
import type { TargetRule } from '../target-suite.ts'
import { boots, declines, driverRules, isDelivered, isInstalled, type PortKind, runs, type Stand, updateWhole } from './bench.ts'
import { type HeldOptions, heldImage } from './held-image.ts'

type Image = ReturnType<typeof heldImage>

/** Delivers and installs what should not run; somebody must refuse it on the way. */
async function neverRuns(what: string, stand: Stand, image: Image): Promise<void> {
  const declined = await declines(
    `${what}: deliver`,
    () => stand.deliver({ image }),
    (observed) => isDelivered(observed, stand.image),
  )
  if (!declined) {
    const stopped = await declines(
      `${what}: install`,
      () => stand.install(),
      (observed) => isInstalled(observed, stand.image),
    )
    ok(stopped, `${what}: expected that delivery or installation is refused, found that both went well`)
  }
  await boots(what, stand, 'old')
}

/** The same descriptor and CRC-32, other bytes: what a failing disk gives. */
function lying(good: Uint8Array, bytes: Uint8Array): Image {
  const read: NonNullable<HeldOptions['read']> = (range) => plainSource(partOf(bytes, range)).open()
  return heldImage(good, { read })
}

function partOf(bytes: Uint8Array, { offset = 0, length }: Partial<ByteRange> = {}): Uint8Array {
  return bytes.subarray(offset, length === undefined ? undefined : offset + length)
}

/** Images that are not what was planned. */
export function wrongImageRules(kind: PortKind): readonly TargetRule[] {
  const rule = driverRules(kind)
  return [
    rule('install-undelivered', 'installs nothing that was not delivered', async (stand) => {
      ok(
        await declines(
          'install',
          () => stand.install(),
          (observed) => isInstalled(observed, stand.image),
        ),
        'expected that the installation is refused',
      )
      await boots('after it', stand, 'old')
      await updateWhole('an update after it', stand)
    }),
    rule('damaged-image', 'never lets an image run whose bytes came in damaged', async (_stand, { images, plugin }, { stand }) => {
      const wrongs = damaged(images.good).filter(({ name }) => !name.includes('empty'))
      for (const { name, bytes } of wrongs) {
        const one = await stand()
        const image = lying(images.good, bytes)
        // Bytes behind the last that was planned need not be seen: whoever stops there has the image.
        const isWholeAndMore = bytes.length > images.good.length
        if (isWholeAndMore)
          await declines(
            name,
            () => one.deliver({ image }),
            () => true,
          )
        else await neverRuns(`an image ${name}`, one, image)
        if (plugin.supports.slots === 2) await boots(`an image ${name}`, one, 'old')
        await updateWhole(`the right image after one ${name}`, one)
      }
    }),
    rule('other-image', 'never lets another image run than the one that was planned', async (_stand, { images }, { stand }) => {
      const noise = sampleBytes(images.good.length, 5)
      for (const [what, bytes] of [
        ['the old image', images.old],
        ['noise', noise],
      ] as const) {
        const one = await stand()
        await neverRuns(what, one, heldImage(bytes))
        await updateWhole(`the right image after ${what}`, one)
      }
    }),
    rule('broken-image', 'fails with an image that cannot be read to its end, and delivers it the next time', async (stand, { images }) => {
      const failure = new Error('the disk does not answer')
      const { good } = images
      for (const bytes of [0, 1, good.length >> 1, good.length]) {
        const image = heldImage(good, { read: (range) => brokenSource(partOf(good.subarray(0, bytes), range), failure).open() })
        const outcome: unknown = await stand.deliver({ image }).catch((error: unknown) => error)
        ok(
          outcome === failure,
          `an image that broke after ${bytes} bytes: expected its error, found ${outcome instanceof Error ? outcome.message : 'that it was delivered'}`,
        )
        await runs('after it', stand, 'old')
      }
      await updateWhole('the whole image', stand)
    }),
  ]
}
