import { OtaError } from '@reflash/core'
import { describe, expect, it } from 'vitest'
import { fail } from '../src/cli-errors.ts'
import { outputOn } from '../src/output.ts'

function captured(json: boolean, debug = false) {
  const texts = { stdout: '', stderr: '' }
  const sink = (name: keyof typeof texts) => ({
    write: (text: string) => {
      texts[name] += text
    },
  })
  return { texts, output: outputOn({ stdout: sink('stdout'), stderr: sink('stderr'), json, debug }) }
}

describe('the output of a command', () => {
  it('is text for people, and a JSON document for scripts', () => {
    const human = captured(false)
    human.output.result({ a: 1 }, 'one')
    expect(human.texts).toEqual({ stdout: 'one\n', stderr: '' })
    const json = captured(true)
    json.output.result({ a: 1 }, 'one')
    expect(JSON.parse(json.texts.stdout)).toEqual({ a: 1 })
  })

  it('keeps notes away from stdout', () => {
    const { texts, output } = captured(true)
    output.note('reading')
    expect(texts).toEqual({ stdout: '', stderr: 'reading\n' })
  })

  it('says what went wrong, each reason, and what to do next', async () => {
    const { texts, output } = captured(false)
    const because = [
      { code: 'A', message: 'first' },
      { code: 'B', message: 'second' },
    ]
    await output.error(fail('PLATFORM_NEEDED', 'fw.bin cannot be run', { because }))
    expect(texts.stderr.split('\n')).toEqual([
      'reflash: PLATFORM_NEEDED: fw.bin cannot be run',
      '  - A: first',
      '  - B: second',
      expect.stringMatching(/^ {2}what to do: Write <file>@<platform>/),
      '',
    ])
    expect(texts.stdout).toBe('')
    expect(output.exitCode).toBe(2)
  })

  it('does not say a reason twice that is the error itself', async () => {
    const { texts, output } = captured(false)
    await output.error(fail('USAGE', 'expected x'))
    expect(texts.stderr).not.toContain('  - ')
  })

  it('takes what to do from the table of the package that owns the code', async () => {
    const { texts, output } = captured(false)
    await output.error(new OtaError('INVALID_PLATFORM', 'invalid', 'no'))
    expect(texts.stderr).toContain('what to do: Write `os/architecture[/variant]`')
  })

  it('prints an error as one JSON document of stable fields', async () => {
    const { texts, output } = captured(true)
    await output.error(new OtaError('X', 'rejected', 'no', { details: { private: 1 }, because: [{ code: 'Y', message: 'why' }] }))
    expect(JSON.parse(texts.stdout)).toEqual({
      error: { code: 'X', fault: 'rejected', message: 'no', because: [{ code: 'Y', message: 'why' }] },
    })
  })

  it.each([
    ['internal', 1],
    ['invalid', 2],
    ['rejected', 3],
    ['unavailable', 4],
    ['unsupported', 5],
    ['aborted', 130],
  ] as const)('ends a fault %s with exit code %i', async (fault, code) => {
    const { output } = captured(false)
    await output.error(new OtaError('X', fault, 'x'))
    expect(output.exitCode).toBe(code)
  })

  it('calls what no table knows internal, and shows its stack only when asked', async () => {
    const quiet = captured(false)
    await quiet.output.error(new TypeError('x is not a function'))
    expect(quiet.texts.stderr).toContain('reflash: INTERNAL: x is not a function')
    expect(quiet.texts.stderr).not.toContain('    at ')
    expect(quiet.output.exitCode).toBe(1)
    const loud = captured(false, true)
    await loud.output.error(new TypeError('x is not a function'))
    expect(loud.texts.stderr).toContain('    at ')
  })
})
