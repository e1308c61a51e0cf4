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
  REGISTRY_BUSY: {
    fault: 'unavailable',
    means: 'The registry answers that it was asked too often (429).',
    next: 'It is tried again, not before the time that it names. Raise its limit for this server, or give credentials that have a higher one.',
  },
  HEADERS_TOO_LARGE: {
    fault: 'unavailable',
    means: 'An answer of the registry has more header fields than are read of one, or they do not end.',
    next: 'It is tried again. Look for a hostile registry, or a proxy that adds fields.',
  },
  TOKEN_TOO_LARGE: {
    fault: 'invalid',
    concerns: 'access',
    means: 'The answer of a token server is larger than 64 KiB, or does not end.',
    next: 'The limit is fixed. Look for a hostile registry: it names the token server.',
  },
  CONTENT_ENCODED: {
    fault: 'invalid',
    concerns: 'access',
    means: 'Content was sent compressed or otherwise encoded, though it was asked for as it is.',
    next: 'Look for a proxy between this server and the registry that compresses, and switch that off.',
  },
  PAGES_LOOP: {
    fault: 'invalid',
    concerns: 'access',
    means: 'The next page of a list is one that was read before.',
    next: 'Look for a broken or hostile registry or proxy.',
  },
  FOREIGN_PAGE: {
    fault: 'rejected',
    concerns: 'access',
    means: 'The next page of a list lies at another origin, where it would be asked for with the credentials of this one.',
    next: 'Mend the registry’s external URL; if it is right, look for a hostile registry or proxy.',
  },
  TOO_MANY_REFERRERS: {
    fault: 'invalid',
    concerns: 'access',
    means: 'A list of referrers has more entries, pages or bytes than are read of one.',
    next: 'The message names the option that sets the limit; look at who writes to the repository.',
  },
  NOT_A_MANIFEST: {
    fault: 'rejected',
    means: 'The registry answers with another type of content where a manifest or an index is asked for.',
    next: 'Nothing was used. Look whether a proxy or a login page answers at this address.',
  },
  MANIFEST_MISMATCH: {
    fault: 'rejected',
    means: 'The registry answers with another document than the manifest or index of the digest that is asked for.',
    next: 'Nothing was used. Look for a broken or hostile registry or proxy.',
  },
  MEDIA_TYPE_MISMATCH: {
    fault: 'rejected',
    means: 'A manifest was served as another media type than its descriptor or its own mediaType field says.',
    next: 'Nothing was used. Look for a broken or hostile registry or proxy.',
  },
  UNSAFE_REDIRECT: {
    fault: 'rejected',
    concerns: 'access',
    means:
      'The registry pointed to a place that is not followed: from https to http, to a host that may not speak plain http, to this machine.',
    next: 'Mend the registry’s external URL, or name hosts that may speak plain http in `plainHttp`.',
  },
  TOO_MANY_REDIRECTS: {
    fault: 'rejected',
    concerns: 'access',
    means: 'The registry pointed from place to place more often than is followed, or in a circle.',
    next: 'Mend the registry’s external URL, or raise `limits.redirects`.',
  },
  REDIRECT_WITH_CREDENTIALS: {
    fault: 'rejected',
    concerns: 'access',
    means: 'The registry pointed to a URL with a user name or a password in it, which is not followed.',
    next: 'Look for a hostile registry; an honest one signs the URLs of its storage in their query.',
  },
  CREDENTIALS_ELSEWHERE: {
    fault: 'rejected',
    concerns: 'access',
    means:
      'A place that the registry pointed to asks for credentials, or the registry does after it had pointed elsewhere; none were sent.',
    next: 'Mend the access to the registry’s storage; if it needs none, look for a hostile registry.',
  },
  UNSAFE_TOKEN_REALM: {
    fault: 'rejected',
    concerns: 'access',
    means: 'The registry names a token server that is not asked: no http URL, over plain http from https, or on this machine.',
    next: 'Mend the realm that the registry is set up with; if it is right, look for a hostile registry or proxy.',
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
