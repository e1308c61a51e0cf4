import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { fakeGateway, representationOf } from './fake-gateway.ts'
import { patterned, seeded, started } from './started.ts'
import { get, type Wire, type WireAnswer, wire } from './wire.ts'

/** Whether this machine has nginx. Under CI it must. */
export const hasNginx = spawnSync('nginx', ['-v']).status === 0
if (!hasNginx && process.env.CI !== undefined) throw new Error('nginx is missing: apt-get install -y nginx-light')
if (!hasNginx) console.warn('nginx is missing, its comparison is skipped: apt-get install -y nginx-light')

const size = 5_000
const bytes = patterned(size)

/** Sends the same random requests to nginx and to a transport over the same bytes, and expects the same answers; how often each status came. */
export async function compareWithNginx(rounds: number, seed: number): Promise<ReadonlyMap<string, number>> {
  const folder = mkdtempSync(join(tmpdir(), 'reflash-nginx-'))
  const port = await freePort()
  const nginx = startNginx(folder, port)
  onTestFinished(() => {
    nginx.kill()
    rmSync(folder, { recursive: true, force: true })
  })
  let theirs = await connected(`http://127.0.0.1:${port}`)
  const { url } = await started({}, fakeGateway({ bytes, path: join(folder, 'image.bin'), form: 'file' }))
  const ours = await wire(url)
  theirs.send(get('/image.bin'))
  const tags = { theirs: (await theirs.answer()).headers.etag as string, ours: `"${representationOf(bytes).descriptor.digest}"` }
  const below = seeded(seed)
  const seen = new Map<string, number>()
  for (let round = 0; round < rounds; round++) {
    const method = below(5) === 0 ? 'HEAD' : 'GET'
    const headers = randomHeaders(below)
    theirs.send(get('/image.bin', withTag(heeded(method, headers), tags.theirs), method))
    ours.send(get('/v1/devices/d1/offers/7/images/app', withTag(headers, tags.ours), method))
    const [expected, found] = await Promise.all([theirs.answer(method === 'HEAD'), ours.answer(method === 'HEAD')])
    expect(essence(found), `${method} ${JSON.stringify(headers)}`).toEqual(essence(expected))
    // nginx 1.22 promises keep-alive with its 412 and closes all the same.
    if (expected.status === 412) theirs = await connected(`http://127.0.0.1:${port}`)
    const what = `${method} ${found.status}`
    seen.set(what, (seen.get(what) ?? 0) + 1)
  }
  theirs.close()
  ours.close()
  return seen
}

/** Everything that the requests above can be answered with. */
export const everyAnswer = ['GET 200', 'GET 206', 'GET 304', 'GET 412', 'GET 416', 'HEAD 200', 'HEAD 304', 'HEAD 412']

/** RFC 9110, 14.2: a Range means something with GET only. nginx heeds it with HEAD too, we do not: it is sent to us alone. */
function heeded(method: string, headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const { Range: _, ...rest } = headers
  return method === 'HEAD' ? rest : headers
}

/** What must be equal. A refusal's own page is not; nor is a boundary, but its length is. */
function essence({ status, headers, body }: WireAnswer): object {
  const range = headers['content-range']
  const tagged = headers.etag !== undefined
  if (status === 304) return { status, tagged }
  if (status === 412) return { status }
  if (status === 416) return { status, range }
  const type = headers['content-type'] as string
  const boundary = /boundary=(.*)$/.exec(type)?.[1]
  const text = body.toString('latin1')
  return {
    status,
    tagged,
    range,
    length: headers['content-length'],
    type: boundary === undefined ? type : type.replace(boundary, 'B'),
    body: boundary === undefined ? text : text.replaceAll(boundary, 'B'),
  }
}

function randomHeaders(below: (limit: number) => number): Record<string, string> {
  const headers: Record<string, string> = {}
  const pick = (...choices: string[]): string => choices[below(choices.length)] as string
  const at = (): number => [below(size), below(20), size - 1 + below(3), below(size * 2)][below(4)] as number
  const spec = (): string =>
    [
      () => `${at()}-${at()}`,
      () => `${at()}-`,
      () => `-${at()}`,
      () => {
        const start = below(size)
        return `${start}-${start + below(50)}`
      },
      () => ` ${at()} - ${at()} `,
      () => pick('', '-', 'x', '1', '--1', '1-x', '0-0-', '+1-2', '1-2 3'),
    ][[0, 1, 2, 3, 3, 3, 4, 5][below(8)] as number]?.() as string
  if (below(10) > 0) {
    const unit = below(20) === 0 ? pick('Bytes', 'lines', 'byte', 'bytes ', '') : 'bytes'
    headers.Range = `${unit}=${Array.from({ length: below(3) === 0 ? 1 + below(20) : 1 }, spec).join(',')}`
  }
  if (below(6) === 0) headers['If-Range'] = pick('TAG', 'W/TAG', '"other"', 'Sat, 01 Jan 2000 00:00:00 GMT')
  if (below(12) === 0) headers['If-None-Match'] = pick('TAG', 'W/TAG', '"other"', '"a", TAG', '*', '"a" , "b"')
  if (below(12) === 0) headers['If-Match'] = pick('TAG', '"other"', '"a", TAG', '*', '"a" , "b"')
  return headers
}

function withTag(headers: Readonly<Record<string, string>>, tag: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value.replace('TAG', tag)]))
}

function startNginx(folder: string, port: number): ChildProcess {
  mkdirSync(join(folder, 'tmp'))
  writeFileSync(join(folder, 'image.bin'), bytes)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/tmp/${name};`).join(' ')
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 64; }
http { access_log off; default_type application/octet-stream; keepalive_requests 1000000; ${temporary}
server { listen 127.0.0.1:${port}; root ${folder}; max_ranges 16; } }`,
  )
  return spawn('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')], { stdio: 'ignore' })
}

async function connected(url: string): Promise<Wire> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await wire(url)
    } catch (error) {
      if (attempt === 500) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
