/** What a guide tells its reader to do, in order. */
export type GuideBlock =
  | { readonly is: 'file'; readonly path: string; readonly text: string }
  | { readonly is: 'commands'; readonly text: string }
  /** Lines that the commands before must have printed. */
  | { readonly is: 'output'; readonly text: string }

/** Reads the blocks of a guide: a fence says `file=<path>` for a file, `sh` for commands, `text` for what they print. */
export function guideBlocks(markdown: string): readonly GuideBlock[] {
  const blocks: GuideBlock[] = []
  for (const [, info = '', text = ''] of markdown.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)) {
    const path = / file=(\S+)$/.exec(info)?.[1]
    if (path !== undefined) blocks.push({ is: 'file', path, text })
    else if (info === 'sh') blocks.push({ is: 'commands', text })
    else if (info === 'text') blocks.push({ is: 'output', text })
    else throw new Error(`expected \`\`\`sh, \`\`\`text or a fence with file=<path>, found \`\`\`${info}`)
  }
  return blocks
}
