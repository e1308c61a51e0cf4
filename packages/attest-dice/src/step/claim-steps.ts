import { type Environment, meansLayer, wordsOf } from '../claims/environment.ts'
import type { Layer } from '../claims/layers.ts'
import type { ReferenceValue } from '../claims/reference-values.ts'
import type { Modes } from '../claims/tcb-info.ts'
import { hashOid } from '../x509/oids.ts'
import { each } from './certificate-steps.ts'
import type { Finding, Scene, Step } from './scene.ts'

const digestBytes: Readonly<Record<string, number>> = Object.fromEntries(
  Object.values(hashOid).map(({ hashAlg, digestBytes }) => [hashAlg, digestBytes]),
)

/** What the layers of the device say, against what is known to be good. */
export const claimSteps: readonly Step[] = [
  {
    name: 'CLAIMS',
    group: 'measurements',
    needs: 'chain',
    find: (scene) => each(scene, ({ claims: { problems } }) => (problems.length === 0 ? undefined : problems.join('; '))),
  },
  {
    name: 'MEASURED',
    group: 'measurements',
    needs: 'chain',
    find: ({ layers }) =>
      layers.some(({ fwids }) => fwids.length > 0) ? [] : [{ reason: 'expected a certificate that measures something, found none' }],
  },
  {
    name: 'CONFIG_DESCRIPTOR',
    group: 'measurements',
    needs: 'chain',
    find: (scene) =>
      each(scene, ({ claims }) =>
        claims.openDice?.configMismatch === true
          ? 'expected the SHA-512 of the configuration descriptor as its hash, found another'
          : undefined,
      ),
  },
  {
    name: 'DIGEST_ALGORITHM',
    group: 'measurements',
    needs: 'chain',
    find: (scene) =>
      layers(scene, ({ fwids }) => {
        const unknown = fwids.filter(({ hashAlg }) => !Object.hasOwn(digestBytes, hashAlg))
        return unknown.length === 0
          ? undefined
          : `expected SHA-256, SHA-384 or SHA-512, found ${unknown.map(({ hashAlg }) => hashAlg).join(', ')}`
      }),
  },
  {
    name: 'DIGEST_LENGTH',
    group: 'measurements',
    needs: 'chain',
    find: (scene) =>
      layers(scene, ({ fwids }) => {
        const wrong = fwids.find(
          ({ hashAlg, digest }) => Object.hasOwn(digestBytes, hashAlg) && digest.length !== 2 * (digestBytes[hashAlg] as number),
        )
        return wrong === undefined
          ? undefined
          : `expected ${digestBytes[wrong.hashAlg]} bytes of ${wrong.hashAlg}, found ${wrong.digest.length / 2}`
      }),
  },
  {
    name: 'REFERENCE_VALUE',
    group: 'measurements',
    needs: 'chain',
    find: (scene) =>
      layers(scene, (layer) => {
        if (layer.fwids.length === 0 || isLeftToRelease(scene, layer)) return undefined
        const speaking = referencesFor(scene, layer).filter(({ fwids = [] }) => fwids.length > 0)
        if (speaking.length === 0)
          return scene.policy.allowUnknownLayers === true ? undefined : 'expected a reference value, found none for it'
        return speaking.some((value) => explains(value, layer))
          ? undefined
          : 'expected digests that one reference value explains, all of them, found others'
      }),
  },
  {
    name: 'REQUIRED_LAYER',
    group: 'measurements',
    needs: 'chain',
    find: ({ layers, policy: { required } }) =>
      required === undefined || required.length === 0
        ? 'the policy requires no layer'
        : required
            .filter((environment) => !layers.some((layer) => layer.fwids.length > 0 && meansLayer(environment, layer.environment)))
            .map((environment) => ({ reason: `expected a measurement of ${JSON.stringify(environment)}, found none` })),
  },
  {
    name: 'SVN_NEGATIVE',
    group: 'versions',
    needs: 'chain',
    find: (scene) => layers(scene, ({ svn = 0 }) => (svn >= 0 ? undefined : `expected a security version from 0 on, found ${svn}`)),
  },
  {
    name: 'SVN_MINIMUM',
    group: 'versions',
    needs: 'chain',
    find: (scene) =>
      layers(scene, (layer) => {
        const least = minimumFor(scene, layer)
        if (least === undefined || (layer.svn !== undefined && layer.svn >= least)) return undefined
        return `expected a security version from ${least} on, found ${layer.svn ?? 'none'}`
      }),
  },
  {
    name: 'SVN_REMEMBERED',
    group: 'versions',
    needs: 'chain',
    find: (scene) =>
      scene.asked === undefined
        ? 'no device is asked'
        : layers(scene, (layer) => {
            const { svn } = scene.asked as NonNullable<Scene['asked']>
            const name = svnName(layer)
            const before = Object.hasOwn(svn, name) ? svn[name] : undefined
            if (before === undefined || (layer.svn !== undefined && layer.svn >= before)) return undefined
            return `expected a security version from ${before} on, which the device has shown before, found ${layer.svn ?? 'none'}`
          }),
  },
  mode('MODE_NOT_CONFIGURED', 'notConfigured', 'configured'),
  mode('MODE_NOT_SECURE', 'notSecure', 'secure'),
  mode('MODE_DEBUG', 'debug', 'closed to debuggers'),
  {
    name: 'MODE_RECOVERY',
    group: 'modes',
    needs: 'chain',
    find(scene) {
      // Where a mask leaves it out there is no recovery to be in.
      const found = layers(scene, ({ modes: { recovery } }) => (recovery === true ? 'expected a normal boot, found recovery' : undefined))
      return found.length > 0 && scene.asked?.purpose === 'admit'
        ? 'the device runs in recovery: it may be admitted to a repair only'
        : found
    },
  },
]

function mode(name: Step['name'], claim: Exclude<keyof Modes, 'recovery'>, good: string): Step {
  return {
    name,
    group: 'modes',
    needs: 'chain',
    find: (scene) =>
      layers(scene, ({ modes }) => {
        if (modes[claim] === false) return undefined
        return `expected a claim to be ${good}, found ${modes[claim] === true ? 'the contrary' : 'none'}`
      }),
  }
}

function layers(scene: Scene, judge: (layer: Layer) => string | undefined): readonly Finding[] {
  return scene.layers.flatMap((layer) => {
    const reason = judge(layer)
    return reason === undefined ? [] : [{ certificate: layer.certificate, reason: `${wordsOf(layer.environment)}: ${reason}` }]
  })
}

const isReleased = ({ released }: Scene, { environment }: Layer): boolean => released.some((wanted) => meansLayer(wanted, environment))

// Before an update any version of it may ask for the next one; which one runs is what `confirm` asks.
function isLeftToRelease(scene: Scene, layer: Layer): boolean {
  return scene.asked !== undefined && scene.asked.purpose !== 'confirm' && isReleased(scene, layer)
}

function referencesFor(scene: Scene, layer: Layer): readonly ReferenceValue[] {
  const { referenceValues, references, asked } = scene
  // A file that still lists an older version must not confirm the new one.
  const all = asked?.purpose === 'confirm' && isReleased(scene, layer) ? references : [...referenceValues, ...references]
  return all.filter(({ environment }) => meansLayer(environment as Environment, layer.environment))
}

// All of them by one entry: digests of two good versions mixed are no good version.
function explains({ fwids = [] }: ReferenceValue, layer: Layer): boolean {
  return layer.fwids.every(({ hashAlg, digest }) => fwids.some((known) => known.hashAlg === hashAlg && known.digest === digest))
}

// The entries that explain what runs say how new it must be, and those that speak of versions alone; where none explains it, all of them.
function minimumFor(scene: Scene, layer: Layer): number | undefined {
  const speaking = referencesFor(scene, layer)
  const explaining = speaking.filter((value) => (value.fwids ?? []).length > 0 && explains(value, layer))
  const counting = explaining.length === 0 ? speaking : [...explaining, ...speaking.filter(({ fwids = [] }) => fwids.length === 0)]
  const least = counting.flatMap(({ minSvn }) => (minSvn === undefined ? [] : [minSvn]))
  return least.length === 0 ? undefined : Math.max(...least)
}

/** The name under which the security version of a layer is remembered: what it is, without what changes with a version. */
export function svnName({ environment: { vendor, model, layer, index, typeHex } }: Layer): string {
  return JSON.stringify([vendor ?? null, model ?? null, layer ?? null, index ?? null, typeHex ?? null])
}
