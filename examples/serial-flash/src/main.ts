import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf, streamOf } from '@reflash/core'
import { ociRegistry, pushArtifact } from '@reflash/registry-oci'
import { demoImage, serveRom, virtualEsp32, virtualRom } from '@reflash/target-esp32/testing'
import { flashByCable } from './flash-by-cable.ts'

const folder = await mkdtemp(join(tmpdir(), 'reflash-serial-'))
try {
  const image = demoImage({ chip: 'esp32s3', version: '1.0.0' })
  const platform = { os: 'custom', architecture: 'esp32s3' }
  const file = { open: () => streamOf(image), size: image.length, digest: digestOf(image), title: 'app.bin', platform }
  await pushArtifact(ociRegistry(), `oci:${folder}:1.0.0`, [file], { created: new Date() })
  // Instead of a board at /dev/ttyUSB0: a virtual chip in its ROM loader, whose line takes the time of a real one.
  const chip = virtualEsp32({ chip: 'esp32s3' })
  await using line = await serveRom(virtualRom(chip), { paced: true })
  // A real application keeps its image after a self-test; this one does so a moment after it was booted.
  const selfTest = setInterval(() => chip.booted.is === 'running' && chip.markValid(), 50)
  const { outcome, version } = await flashByCable(`oci:${folder}`, process.argv[2] ?? line.address).finally(() => clearInterval(selfTest))
  console.log(`${outcome} ${version}`)
  process.exitCode = outcome === 'confirmed' ? 0 : 1
} finally {
  await rm(folder, { recursive: true })
}
