import { attackedInChild, registryTable } from '../packages/cli/test/hostile/registry/attacked-in-child.ts'

// Sets hostile registries and hostile clients on a whole update system, and prints what came of it. docs/hostile-peers.md keeps the last run.

console.log(`${registryTable(await attackedInChild())}\n`)
