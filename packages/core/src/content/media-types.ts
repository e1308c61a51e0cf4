/** OCI image spec 1.1, media-types.md; Docker's two are what older tools push. */
export const mediaTypes = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  empty: 'application/vnd.oci.empty.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const

/** The artifact type of what `reflash push` makes. */
export const firmwareArtifactType = 'application/vnd.reflash.firmware.v1'

/** Annotations that say what a release is; believed only where a passing signature verifier covers their bytes. */
export const annotations = {
  version: 'org.opencontainers.image.version',
  title: 'org.opencontainers.image.title',
  created: 'org.opencontainers.image.created',
  product: 'dev.reflash.product',
  platform: 'dev.reflash.platform',
  /** A semver range: which installed versions may update to this release directly. */
  from: 'dev.reflash.from',
} as const

/** Bytes; the limit that the OCI distribution spec recommends for manifests. */
export const manifestLimitBytes = 4 * 1024 * 1024
