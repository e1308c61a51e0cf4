/** OCI distribution spec, pulling manifests: what a tag may be. */
export const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/
