import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Packed } from '../gate/packages.ts'
import { runCommand } from '../gate/run-command.ts'
import { type Count, failed, passed } from '../gate/steps.ts'
import { guideBlocks } from './guide-blocks.ts'
import { localRegistry } from './local-registry.ts'

/**
 * Does what a guide says, word by word, in an empty folder: writes its files, runs its commands, and looks for what they are to print. The
 * packages of this repository come from their tarballs.
 */
export async function followGuide(guide: string, packed: readonly Packed[], folder: string): Promise<Count> {
  mkdirSync(folder, { recursive: true })
  await using registry = await localRegistry(packed)
  writeFileSync(join(folder, '.npmrc'), `@reflash:registry=${registry.url}\naudit=false\nprefer-offline=true\n`)
  let done = 0
  let printed = ''
  for (const block of guideBlocks(readFileSync(guide, 'utf8'))) {
    if (block.is === 'file') {
      mkdirSync(dirname(join(folder, block.path)), { recursive: true })
      writeFileSync(join(folder, block.path), block.text)
    } else if (block.is === 'commands') {
      const { code, output } = await runCommand(['sh', '-e', '-c', block.text], { cwd: folder })
      printed = output
      if (code !== 0) return failed(`${guide}:\n${block.text}ended with ${code}\n${output}`)
    } else {
      const lines = printed.split('\n').map((line) => line.trim())
      const missing = block.text
        .trim()
        .split('\n')
        .find((line) => !lines.includes(line.trim()))
      if (missing !== undefined) return failed(`${guide}: expected the commands to print\n${missing}\nthey printed\n${printed}`)
    }
    done += 1
  }
  return passed(done)
}
