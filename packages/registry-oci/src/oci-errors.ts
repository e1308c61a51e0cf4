import { errorsOf } from '@reflash/core'

/** Every code that this package adds to core's. docs/errors.md is generated from this table. */
export const ociErrors = {
  REGISTRY_DENIED: {
    fault: 'rejected',
    concerns: 'access',
    means: 'The registry, its token server or the file system refused the credentials, or wants some and has none.',
    next: 'Give credentials that may do this in this repository; log in again where they have expired.',
  },
  REGISTRY_UNTRUSTED: {
    fault: 'rejected',
    concerns: 'access',
    means: 'The TLS certificate of the registry is not trusted, has expired, or is for another host.',
    next: 'Pass the certificate authority of the registry as `ca`, or mend its certificate.',
  },
  REGISTRY_REFUSED: {
    fault: 'invalid',
    concerns: 'access',
    means: 'The registry understood a request and refused it.',
    next: 'The message names the registry’s own codes; look at what was asked or pushed.',
  },
  REGISTRY_PROTOCOL: {
    fault: 'invalid',
    concerns: 'access',
    means: 'An answer of the registry does not follow the OCI distribution specification.',
    next: 'Look whether a proxy or another kind of server answers at this address.',
  },
  MEDIA_TYPE_MISMATCH: {
    fault: 'rejected',
    means: 'A manifest was served as another media type than its descriptor or its own mediaType field says.',
    next: 'Nothing was used. Look for a broken or hostile registry or proxy.',
  },
  UNSAFE_REDIRECT: {
    fault: 'rejected',
    concerns: 'access',
    means: 'The registry pointed to a place that is not followed: from https to http, to the local machine, to too many places in a row.',
    next: 'Mend the registry’s external URL, or name hosts that may speak plain http in `plainHttp`.',
  },
  INVALID_LAYOUT: {
    fault: 'invalid',
    means: 'A directory is not an OCI image layout, or its index.json cannot be read.',
    next: 'Name a directory with oci-layout, index.json and blobs/, or push to a new one.',
  },
  LAYOUT_BUSY: {
    fault: 'unavailable',
    means: 'Another process holds the lock of an OCI image layout.',
    next: 'Wait for it; where no such process runs any more, delete the lock file that the message names.',
  },
  INVALID_ARTIFACT: {
    fault: 'invalid',
    means: 'The files to push do not make an artifact: a platform is missing or given twice, a title or an annotation is not allowed.',
    next: 'Correct what the message names.',
  },
  PUSH_UNSUPPORTED: {
    fault: 'unsupported',
    means: 'The registry plugin can only read.',
    next: 'Push through a registry that has `push` and `tag`.',
  },
  VERSION_MISSING: {
    fault: 'invalid',
    means: 'No version can be written into the signed manifest: the tag is no version, and none was given.',
    next: 'Push under a tag such as 1.2.3 or v1.2.3, or give `pushArtifact` its `version`.',
  },
} as const

export const fail = errorsOf(ociErrors)
