import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { runCommand } from '../gate/run-command.ts'
import { root } from '../workspaces.ts'

/** Where peers are kept between runs, outside of git. */
const peersFolder = resolve(process.env.REFLASH_PEERS ?? join(homedir(), '.cache/reflash-peers'))

export interface Peer {
  readonly name: string
  readonly version: string
  /** Where it comes from, for docs/interop.md. */
  readonly from: string
  /** Its executable once it is installed. */
  readonly executable: string
  install(): Promise<string | undefined>
}

/** Runs the commands in order and returns the output of the first that fails. */
async function firstFailure(commands: readonly (readonly string[])[], cwd: string, env: Readonly<Record<string, string>> = {}) {
  mkdirSync(cwd, { recursive: true })
  for (const command of commands) {
    const { code, output } = await runCommand(command, { cwd, env })
    if (code !== 0) return `${command.join(' ')}\n${output}`
  }
  return undefined
}

function goPeer(name: string, module: string, path: string, version: string): Peer {
  const folder = join(peersFolder, `${name}-${version}`)
  const executable = join(folder, basename(path))
  return {
    name,
    version,
    from: `go install ${module}${path}@v${version}`,
    executable,
    install: () =>
      firstFailure([['go', 'install', `${module}${path}@v${version}`]], folder, { GOBIN: folder, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' }),
  }
}

function pythonPeer(name: string, version: string): Peer {
  const folder = join(peersFolder, `${name}-${version}`)
  const pip = [join(folder, 'bin/pip'), 'install', '--quiet', '--disable-pip-version-check', `${name}==${version}`]
  return {
    name,
    version,
    from: `pip install ${name}==${version}`,
    executable: join(folder, 'bin', name),
    install: () => firstFailure([['python3', '-m', 'venv', folder], pip], folder),
  }
}

function nodePeer(version: string): Peer {
  const folder = join(peersFolder, `node-${version}`)
  const platform = `node-linux-${process.arch}`
  return {
    name: 'node',
    version,
    from: `npm install ${platform}@${version}`,
    executable: join(folder, 'node_modules/.bin/node'),
    async install() {
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, 'package.json'), '{"private":true}\n')
      return await firstFailure([['npm', 'install', '--no-save', '--force', `${platform}@${version}`]], folder)
    },
  }
}

/** The reference library of ORAS behind a command of a few lines: its own command line is not to be had from the Go module proxy. */
function orasPeer(version: string): Peer {
  const folder = join(peersFolder, `oras-go-${version}`)
  const executable = join(folder, 'oras-go')
  return {
    name: 'oras-go',
    version,
    from: `oras.land/oras-go/v2@v${version}, built from .ci/peers/oras-go`,
    executable,
    install: () =>
      firstFailure([['go', 'build', '-C', join(root, '.ci/peers/oras-go'), '-o', executable, '.']], folder, { CGO_ENABLED: '0' }),
  }
}

/** Every peer that the interop tests drive. A test finds the executable in `REFLASH_PEER_<NAME>`. */
export const toolPeers: readonly Peer[] = [
  goPeer('cosign', 'github.com/sigstore/cosign/v2', '/cmd/cosign', '2.6.5'),
  goPeer('cosign-3', 'github.com/sigstore/cosign/v3', '/cmd/cosign', '3.1.3'),
  goPeer('crane', 'github.com/google/go-containerregistry', '/cmd/crane', '0.22.1'),
  orasPeer('2.6.4'),
  pythonPeer('esptool', '5.6.0'),
]

/** The oldest Node that is supported, and the newest of each line that is. */
export const nodePeers: readonly Peer[] = [nodePeer('22.22.2'), nodePeer('24.21.0'), nodePeer('26.10.0')]

/** The environment variable that tells tests where a peer's executable is: `REFLASH_PEER_ORAS_GO` for `oras-go`. */
export function peerVariable({ name }: Peer): string {
  return `REFLASH_PEER_${name.toUpperCase().replaceAll('-', '_')}`
}

/** Installs a peer unless it is there; returns why it could not be. */
export async function ensurePeer(peer: Peer): Promise<string | undefined> {
  if (existsSync(peer.executable)) return undefined
  const failure = await peer.install()
  return failure ?? (existsSync(peer.executable) ? undefined : `${peer.from} left no ${peer.executable}`)
}
