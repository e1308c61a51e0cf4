import type { Certificate } from '../x509/certificate.ts'
import { sameBytes } from '../x509/der.ts'
import { violation } from '../x509/name-constraints.ts'
import type { Link } from '../x509/path.ts'
import { isAllowed } from '../x509/public-key.ts'
import { each } from './certificate-steps.ts'
import type { Finding, Scene, Step } from './scene.ts'

/** RFC 5280, section 6.1, from each certificate to its issuer. */
export const pathSteps: readonly Step[] = [
  {
    name: 'CHAIN_ANCHOR',
    group: 'order',
    needs: 'chain',
    find({ path: { chain, anchor } }) {
      if (chain.length === 0) return [{ certificate: 0, reason: 'expected a chain below a trust anchor, found the anchor alone' }]
      if (anchor !== undefined) return []
      return [{ certificate: chain.length - 1, reason: 'expected an issuer among the trust anchors, found none' }]
    },
  },
  {
    name: 'CERT_ALGORITHM_TWICE',
    group: 'path',
    needs: 'chain',
    // RFC 5280, 4.1.1.2: what is signed names the algorithm too, so that nobody exchanges it.
    find: (scene) =>
      each(scene, ({ innerAlgorithm, outerAlgorithm }) =>
        sameBytes(innerAlgorithm, outerAlgorithm) ? undefined : 'expected one signature algorithm, found another inside of what is signed',
      ),
  },
  {
    name: 'CERT_KEY',
    group: 'path',
    needs: 'chain',
    find: (scene) => each(scene, ({ key }) => ('problem' in key ? key.problem : undefined)),
  },
  {
    name: 'CERT_ALGORITHM',
    group: 'path',
    needs: 'chain',
    find: (scene) =>
      links(scene, ({ child: { algorithm }, issuer: { key } }) =>
        'problem' in key || isAllowed(algorithm, key)
          ? undefined
          : `expected a signature that is allowed with a key on ${key.kind}, found ${algorithm === undefined ? 'another algorithm' : 'hash' in algorithm ? `${algorithm.name} with ${algorithm.hash}` : algorithm.name}`,
      ),
  },
  {
    name: 'CERT_SIGNATURE',
    group: 'path',
    needs: 'chain',
    find: (scene) =>
      links(scene, ({ child, issuer }) =>
        scene.signatures.isSigned(child, issuer) ? undefined : "expected a signature by the issuer's key, found another",
      ),
  },
  {
    name: 'CERT_ISSUER',
    group: 'path',
    needs: 'chain',
    // TCG DICE, 5.1.4: byte by byte.
    find: (scene) =>
      links(scene, ({ child, issuer: { certificate } }) =>
        certificate === undefined || sameBytes(child.issuer, certificate.subject)
          ? undefined
          : "expected the issuer's subject as issuer, found another name",
      ),
  },
  {
    name: 'CERT_KEY_ID',
    group: 'path',
    needs: 'chain',
    find: (scene) =>
      links(scene, ({ child: { authorityKeyId }, issuer: { certificate } }) => {
        const { subjectKeyId } = certificate ?? {}
        if (authorityKeyId === undefined || subjectKeyId === undefined || sameBytes(authorityKeyId, subjectKeyId)) return undefined
        return "expected the issuer's key identifier, found another"
      }),
  },
  {
    name: 'CERT_AUTHORITY',
    group: 'path',
    needs: 'chain',
    find: (scene) =>
      issuers(scene, ({ isAuthority }) => (isAuthority ? undefined : 'expected an authority (basicConstraints, CA:TRUE), found none')),
  },
  {
    name: 'CERT_KEY_CERT_SIGN',
    group: 'path',
    needs: 'chain',
    find: (scene) =>
      issuers(scene, ({ keyUsage }) =>
        keyUsage?.keyCertSign === true ? undefined : 'expected a key that may sign certificates (keyCertSign), found none',
      ),
  },
  {
    name: 'CERT_PATH_LENGTH',
    group: 'path',
    needs: 'chain',
    find: (scene) =>
      issuers(scene, ({ pathLength }, index) => {
        // RFC 5280, 6.1.4 (l): intermediates below it that are not self-issued; the leaf does not count.
        const below = scene.path.chain.slice(1, index).filter(({ issuer, subject }) => !sameBytes(issuer, subject)).length
        return pathLength === undefined || below <= pathLength
          ? undefined
          : `expected at most ${pathLength} authorities below, found ${below}`
      }),
  },
  {
    name: 'CERT_NOT_BEFORE',
    group: 'path',
    needs: 'chain',
    find: (scene) =>
      valid(scene, ({ notBefore }) => {
        const { now, policy } = scene
        const from = notBefore.getTime() - (policy.notBeforeSkewMs ?? 0)
        return now.getTime() >= from ? undefined : `expected a time from ${notBefore.toJSON()} on, found ${now.toJSON()}`
      }),
  },
  {
    name: 'CERT_NOT_AFTER',
    group: 'path',
    needs: 'chain',
    find: (scene) =>
      valid(scene, ({ notAfter }) =>
        notAfter === undefined || scene.now.getTime() <= notAfter.getTime()
          ? undefined
          : `expected a time until ${notAfter.toJSON()}, found ${scene.now.toJSON()}`,
      ),
  },
  {
    name: 'CERT_NAME_CONSTRAINTS',
    group: 'path',
    needs: 'chain',
    find(scene) {
      const { chain } = scene.path
      return authorities(scene).flatMap(({ certificate: { nameConstraints }, index: from }) => {
        if (nameConstraints === undefined) return []
        return chain.slice(0, from).flatMap(({ names, issuer, subject }, index): readonly Finding[] => {
          // RFC 5280, 6.1.3 (b): a self-issued authority on the way is not constrained.
          if (index > 0 && sameBytes(issuer, subject)) return []
          const found = violation(nameConstraints, names)
          return found === undefined
            ? []
            : [{ certificate: index, reason: `expected names that certificate ${from} may issue, found ${found}` }]
        })
      })
    },
  },
]

function links(scene: Scene, judge: (link: Link) => string | undefined): readonly Finding[] {
  return scene.path.links.flatMap((link) => {
    const reason = judge(link)
    return reason === undefined ? [] : [{ certificate: link.index, reason }]
  })
}

/** Every certificate that has issued another one, and its index; the anchor's is the length of the chain. */
function authorities({ path: { chain, anchor } }: Scene): readonly { readonly certificate: Certificate; readonly index: number }[] {
  const inner = chain.map((certificate, index) => ({ certificate, index })).slice(1)
  return anchor?.certificate === undefined ? inner : [...inner, { certificate: anchor.certificate, index: chain.length }]
}

function issuers(scene: Scene, judge: (certificate: Certificate, index: number) => string | undefined): readonly Finding[] {
  return found(authorities(scene), judge)
}

/** The whole chain with its anchor: an anchor that has expired is trusted no more. */
function valid(scene: Scene, judge: (certificate: Certificate) => string | undefined): readonly Finding[] {
  const [leaf] = scene.path.chain
  return found([...(leaf === undefined ? [] : [{ certificate: leaf, index: 0 }]), ...authorities(scene)], judge)
}

function found(
  certificates: readonly { readonly certificate: Certificate; readonly index: number }[],
  judge: (certificate: Certificate, index: number) => string | undefined,
): readonly Finding[] {
  return certificates.flatMap(({ certificate, index }) => {
    const reason = judge(certificate, index)
    return reason === undefined ? [] : [{ certificate: index, reason }]
  })
}
