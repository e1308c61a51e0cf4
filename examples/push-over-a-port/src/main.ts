import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestOf, streamOf } from '@reflash/core'
import { ociRegistry, pushArtifact } from '@reflash/registry-oci'
import { demoImage, virtualEsp32 } from '@reflash/target-esp32/testing'
import { pushUpdate } from './push-update.ts'

const folder = await mkdtemp(join(tmpdir(), 'reflash-push-'))
try {
  const image = demoImage({ chip: 'esp32s3', version: '1.0.0' })
  const file = {
    open: () => streamOf(image),
    size: image.length,
    digest: digestOf(image),
    title: 'app.bin',
    platform: { os: 'custom', architecture: 'esp32s3' },
  }
  await pushArtifact(ociRegistry(), `oci:${folder}:1.0.0`, [file], { created: new Date() })
  const chip = virtualEsp32({ chip: 'esp32s3', id: 'bench-1' })
  // A real application keeps its image after a self-test; this one does so a moment after it was booted.
  const selfTest = setInterval(() => chip.booted.is === 'running' && chip.markValid(), 50)
  const { outcome, version } = await pushUpdate(`oci:${folder}`, chip)
  clearInterval(selfTest)
  console.log(`${outcome} ${version}`)
  process.exitCode = outcome === 'confirmed' ? 0 : 1
} finally {
  await rm(folder, { recursive: true })
}
