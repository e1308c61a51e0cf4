import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '../free-port.ts'
import { type MeasuredProcess, startProcess } from '../measured-process.ts'

export const nginxInstall = 'apt-get install nginx-light'

/** Debian keeps nginx in sbin, which is not on everybody's path. */
export function nginxPath(): string | undefined {
  return ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx'].find((path) => existsSync(path))
}

/** Starts nginx with one worker that serves the files of `folder`: sendfile on, no access log. */
export async function startNginx(folder: string, state: string): Promise<{ readonly process: MeasuredProcess; readonly url: string }> {
  const port = await freePort()
  mkdirSync(state, { recursive: true })
  const config = join(state, 'nginx.conf')
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${state}/${name};`)
  writeFileSync(
    config,
    `daemon off; worker_processes 1; pid ${state}/pid; error_log stderr notice; ${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; ${paths.join(' ')}
  server { listen 127.0.0.1:${port}; root ${folder}; }
}
`,
  )
  const started = await startProcess([nginxPath() ?? 'nginx', '-c', config, '-p', state], (text) =>
    text.includes('start worker process') ? true : undefined,
  )
  // The worker says that it starts before it listens with its event loop.
  await pause(200)
  return { process: started.process, url: `http://127.0.0.1:${port}` }
}
