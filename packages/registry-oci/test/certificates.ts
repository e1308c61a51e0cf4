import { execFileSync } from 'node:child_process'
import { createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A key and its certificate in PEM files, made by openssl. */
export interface MadeCertificate {
  readonly certificate: string
  readonly key: string
  readonly pem: string
  readonly keyPem: string
}

/** Makes a self-signed P-256 certificate for 127.0.0.1; it is its own authority. */
export function makeCertificate(folder: string, name: string): MadeCertificate {
  const certificate = join(folder, `${name}.crt`)
  const key = join(folder, `${name}.key`)
  const args = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    '-keyout',
    key,
    '-out',
    certificate,
  ]
  const extensions = ['-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost', '-addext', 'extendedKeyUsage=serverAuth,clientAuth']
  execFileSync('openssl', [...args, '-subj', `/CN=${name}`, ...extensions], { stdio: 'ignore' })
  return { certificate, key, pem: readFileSync(certificate, 'utf8'), keyPem: readFileSync(key, 'utf8') }
}

/** Signs a JWT with ES256 and puts the certificate into its x5c header, as docker-registry wants tokens. */
export function signToken({ pem, keyPem }: MadeCertificate, claims: Readonly<Record<string, unknown>>): string {
  const key: KeyObject = createPrivateKey(keyPem)
  const x5c = [new X509Certificate(pem).raw.toString('base64')]
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${encode({ typ: 'JWT', alg: 'ES256', x5c })}.${encode(claims)}`
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
