import { floodTable, runFloods } from '../packages/cli/test/hostile/clients/flood-scenes.ts'
import { floods } from '../packages/cli/test/hostile/clients/floods.ts'
import { attackedInChild, attackedWarmInChild, registryTable, warmTable } from '../packages/cli/test/hostile/registry/attacked-in-child.ts'

// Sets hostile registries and hostile clients on a whole update system, and prints what came of it. docs/hostile-peers.md keeps the last run.

const attacked = await attackedInChild()
console.log(`${registryTable(attacked)}\n`)
const attackedWarm = await attackedWarmInChild()
console.log(`${warmTable(attackedWarm)}\n`)
const alone = []
for (const flood of floods) alone.push(await runFloods([flood], 20))
console.log(`${floodTable(alone)}\n`)
const together = await runFloods(floods, 100)
console.log(floodTable([together]))
const isGood =
  attacked.every(
    ({ foreignBytes, leaked, after }) => foreignBytes === 0 && !leaked && after.every((version) => version === '1.1.0 confirmed'),
  ) &&
  attackedWarm.every(
    ({ foreignBytes, failed, after }) =>
      foreignBytes === 0 && failed.length === 0 && after.every((version) => version === '1.2.0 confirmed'),
  ) &&
  [...alone, together].every(({ confirmed, devices, healthy }) => confirmed === devices && healthy)
process.exit(isGood ? 0 : 1)
