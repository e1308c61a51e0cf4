import { ociRegistry, pushArtifact } from '../../../src/index.ts'

// A process of its own which pushes <count> tags into the layout <repository>, as the test beside it asks.
const [repository = '', name = '', count = '0'] = process.argv.slice(2)
const registry = ociRegistry()
for (let n = 0; n < Number(count); n++) {
  const bytes = new TextEncoder().encode(`${name} ${n}`)
  await pushArtifact(registry, `${repository}:1.${n}.0-${name}`, [{ title: 'a.bin', bytes }], { created: new Date(0) })
}
await registry.close()
