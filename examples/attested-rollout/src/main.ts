import { rollout } from './rollout.ts'

const ends = await rollout(console.log)
process.exitCode = ends.get('honest') === 'passed' && [...ends.values()].filter((end) => end === 'passed').length === 1 ? 0 : 1
