import { digestOf, OtaError, streamOf } from '@reflash/core'
import { describe, expect, it } from 'vitest'
import { agentBench, Killed, type Release, releaseOf, unavailable } from './agent-bench.ts'

const one = releaseOf('1.0.0')
const two = releaseOf('1.1.0')
const installed = (release: Release) => ({ version: release.version, digest: digestOf(release.image), state: 'confirmed' })
const states = (bench: ReturnType<typeof agentBench>) => bench.reports.map(({ state }) => state)

describe('a device', () => {
  it('with nothing installed takes what it is offered, tells each step and shows at a last check-in what it runs', async () => {
    const bench = agentBench()
    bench.offer(one)
    const outcome = await bench.run()
    expect(outcome).toMatchObject({ is: 'confirmed', installed: installed(one), update: { version: '1.0.0' }, pollAfterMs: 1000 })
    expect(states(bench)).toEqual(['downloading', 'downloaded', 'installing', 'installed', 'confirmed'])
    expect(bench.checkIns[0]).toMatchObject({ model: 'esp32s3' })
    expect(bench.checkIns[0]?.installed).toBeUndefined()
    expect(bench.checkIns.at(-1)?.installed).toEqual(installed(one))
    expect(bench.remembered.update).toBeUndefined()
  })

  it('shows the version of the release, whatever the image calls itself', async () => {
    const bench = agentBench()
    const release = { version: '7.0.0', image: one.image }
    bench.offer(release)
    await bench.run()
    bench.offer(undefined)
    expect(await bench.run()).toMatchObject({ is: 'up-to-date', installed: installed(release) })
  })

  it('takes a new name for the image that it runs without a download', async () => {
    const bench = agentBench()
    bench.offer(one)
    await bench.run()
    bench.downloads.length = 0
    bench.offer({ version: '1.0.1', image: one.image })
    bench.override.checkIn = async () => ({
      pollAfterMs: 1,
      wantsEvidence: false,
      because: [],
      offer: { seq: 2, version: '1.0.1', images: [{ component: 'image', digest: digestOf(one.image), size: one.image.length }] },
    })
    expect(await bench.run()).toMatchObject({ is: 'confirmed', installed: { version: '1.0.1' } })
    expect(bench.downloads).toEqual([])
  })

  it('goes from slot to slot and forgets no version that it runs', async () => {
    const bench = agentBench()
    for (let patch = 0; patch < 12; patch++) {
      bench.offer({ version: `9.0.${patch}`, image: patch % 2 === 0 ? one.image : two.image })
      expect((await bench.run()).installed?.version).toBe(`9.0.${patch}`)
    }
    expect(Object.keys(bench.remembered.versions)).toHaveLength(2)
  })

  it('is not up to date where the server does not say so', async () => {
    const bench = agentBench()
    const because = [{ code: 'SIGNATURE_REFUSED', message: 'unsigned' }]
    bench.override.checkIn = async () => ({ pollAfterMs: 5, wantsEvidence: false, because })
    expect(await bench.run()).toEqual({ is: 'not-offered', pollAfterMs: 5, because })
  })

  it('says that it can show no evidence', async () => {
    const bench = agentBench()
    bench.override.checkIn = async () => ({ pollAfterMs: 5, wantsEvidence: true, because: [] })
    await expect(bench.run()).rejects.toMatchObject({ code: 'DEVICE_UNSUPPORTED' })
  })
})

describe('a download', () => {
  it('goes on where another process has stopped', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.override.download = async (_offer, _image, offset) => dieAfter(streamOf(one.image.subarray(offset), 5000), 4)
    await expect(bench.run()).rejects.toBeInstanceOf(Killed)
    bench.override = {}
    expect((await bench.run()).is).toBe('confirmed')
    expect(bench.downloads).toEqual([0, 16_384])
  })

  it.each([
    ['cannot be had', async () => Promise.reject(unavailable()), 'SERVER_UNAVAILABLE'],
    ['ends early', async () => streamOf(one.image.subarray(0, 10_000)), 'DOWNLOAD_CUT'],
  ] as const)('that %s is left for the next run', async (_what, download, code) => {
    const bench = agentBench()
    bench.offer(one)
    bench.override.download = download
    await expect(bench.run()).rejects.toMatchObject({ code, fault: 'unavailable' })
    expect(bench.remembered.update).toMatchObject({ stage: 'downloading' })
    expect(states(bench)).toEqual(['downloading'])
    bench.override = {}
    expect((await bench.run()).is).toBe('confirmed')
  })

  it('of other bytes is refused by read-back, tried once more and reported', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.override.download = async () => streamOf(new Uint8Array(one.image.length))
    expect(await bench.run()).toMatchObject({ is: 'failed', because: [{ code: 'SLOT_CONTENT' }] })
    expect(bench.downloads).toEqual([0, 0])
    expect(bench.reports.at(-1)).toMatchObject({ state: 'failed', code: 'SLOT_CONTENT' })
    expect(bench.device().booted.is).toBe('unbootable')
  })

  it('of more bytes than were offered is refused', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.override.download = async () => streamOf(new Uint8Array(one.image.length + 1))
    expect(await bench.run()).toMatchObject({ is: 'failed', because: [{ code: 'TRAILING_BYTES' }] })
  })

  it('is refused before its first byte where the slot is too small', async () => {
    const bench = agentBench()
    bench.offer({ version: '1.0.0', image: new Uint8Array(0x1d_0001) })
    expect(await bench.run()).toMatchObject({ is: 'failed', because: [{ code: 'IMAGE_LARGER_THAN_SLOT' }] })
    expect(bench.downloads).toEqual([])
  })

  it('with the right digest and another CRC-32 than was offered is not switched to', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.crc32 = 5
    expect(await bench.run()).toMatchObject({ is: 'failed', because: [{ code: 'CRC_MISMATCH' }] })
    expect(bench.device().state().installed?.state).not.toBe('pending')
  })
})

describe('an image', () => {
  it('for another chip is not switched to', async () => {
    const bench = agentBench()
    bench.offer(one)
    await bench.run()
    bench.offer(releaseOf('1.1.0', 'esp32c3'))
    expect(await bench.run()).toMatchObject({ is: 'failed', installed: installed(one), because: [{ code: 'WRONG_CHIP' }] })
    expect(bench.reports.at(-1)).toMatchObject({ state: 'failed', code: 'WRONG_CHIP' })
  })

  it('that fails its self-test is left for the one before, and not tried again at once', async () => {
    const bench = agentBench()
    bench.offer(one)
    await bench.run()
    bench.offer(two)
    bench.selfTest = () => false
    expect(await bench.run()).toMatchObject({ is: 'rolled-back', installed: installed(one), because: [{ code: 'SELF_TEST_FAILED' }] })
    expect(bench.reports.at(-1)).toMatchObject({ state: 'rolled-back', code: 'SELF_TEST_FAILED' })
    bench.selfTest = () => true
    expect(await bench.run()).toMatchObject({ is: 'confirmed', installed: installed(two) })
  })

  it('that fails its self-test with none to go back to is reported as failed', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.selfTest = () => false
    expect(await bench.run()).toMatchObject({ is: 'failed', because: [{ code: 'SELF_TEST_FAILED' }, { code: 'VIRTUAL_DEVICE' }] })
  })
})

describe('the end of an update', () => {
  it('is told by the next run where the server was away', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.override.report = async (_seq, { state }) => {
      if (state === 'confirmed') throw unavailable()
    }
    await expect(bench.run()).rejects.toMatchObject({ fault: 'unavailable' })
    expect(states(bench)).not.toContain('confirmed')
    bench.override = {}
    expect(await bench.run()).toMatchObject({ is: 'confirmed', update: { version: '1.0.0' } })
    expect(states(bench).at(-1)).toBe('confirmed')
    expect(bench.remembered.update).toBeUndefined()
  })

  it.each(['downloading', 'downloaded', 'installing', 'installed', 'confirmed'] as const)(
    'is not lost where the server refuses to hear "%s"',
    async (state) => {
      const bench = agentBench()
      bench.offer(one)
      bench.override.report = async (_seq, report) => {
        if (report.state === state) throw new OtaError('SERVER_REFUSED', 'rejected', 'another token')
      }
      await expect(bench.run()).rejects.toMatchObject({ code: 'SERVER_REFUSED' })
      bench.override = {}
      expect(await bench.run()).toMatchObject({ is: 'confirmed', installed: installed(one) })
      expect(states(bench)).not.toContain('failed')
    },
  )

  it('does not come by a server that refuses to send the image', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.override.download = async () => Promise.reject(new OtaError('REQUEST_REFUSED', 'invalid', 'no such offer'))
    await expect(bench.run()).rejects.toMatchObject({ code: 'REQUEST_REFUSED' })
    bench.override = {}
    expect((await bench.run()).is).toBe('confirmed')
  })

  it('stands where the server has forgotten the offer', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.override.report = async () => {
      throw new OtaError('NO_OFFER', 'invalid', 'no such offer')
    }
    expect(await bench.run()).toMatchObject({ is: 'confirmed', installed: installed(one) })
  })

  it('does not depend on reports that the server did not hear before', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.override.report = async (_seq, { state }) => {
      if (state !== 'confirmed') throw unavailable()
    }
    expect((await bench.run()).is).toBe('confirmed')
  })

  it('is not reached by a device that is told to stop, and nothing is lost', async () => {
    const bench = agentBench()
    bench.offer(one)
    const controller = new AbortController()
    bench.override.download = async (_offer, _image, offset) => {
      controller.abort(new OtaError('ABORTED', 'aborted', 'stop'))
      return streamOf(one.image.subarray(offset), 5000)
    }
    await expect(bench.run(controller.signal)).rejects.toMatchObject({ fault: 'aborted' })
    bench.override = {}
    expect((await bench.run()).is).toBe('confirmed')
  })

  it('is that it was canceled, where the server takes the offer back before it is switched to', async () => {
    const bench = agentBench()
    bench.offer(one)
    bench.override.download = async (_offer, _image, offset) => dieAfter(streamOf(one.image.subarray(offset), 5000), 1)
    await expect(bench.run()).rejects.toBeInstanceOf(Killed)
    bench.override = { checkIn: async () => ({ pollAfterMs: 1, cancel: 1, wantsEvidence: false, because: [] }) }
    await bench.run()
    expect(states(bench).at(-1)).toBe('canceled')
    expect(bench.remembered.update).toBeUndefined()
  })
})

describe('a device that is asked to stop', () => {
  const stop = (cancel: number) => async () => ({ pollAfterMs: 1, cancel, wantsEvidence: false, because: [] })

  it('refuses once it switches', async () => {
    let bench = agentBench()
    for (let step = 1; bench.remembered.update?.stage !== 'switching'; step++) {
      bench = agentBench()
      bench.offer(one)
      await bench.run()
      bench.offer(two)
      bench.killAt(step)
      await expect(bench.run()).rejects.toBeInstanceOf(Killed)
    }
    bench.killAt(Number.POSITIVE_INFINITY)
    bench.override = { checkIn: stop(2) }
    await bench.run()
    expect(states(bench).at(-1)).toBe('cancel-refused')
    expect(bench.remembered.update).toMatchObject({ seq: 2, stage: 'switching' })
  })

  it('says that it has where it does not remember the offer', async () => {
    const bench = agentBench()
    bench.override = { checkIn: stop(1) }
    await bench.run()
    expect(bench.reports).toMatchObject([{ state: 'canceled' }])
  })
})

describe('a device that is killed before any one of its steps', () => {
  it.each([
    ['its first image', undefined],
    ['an update', one],
  ])('has %s confirmed at the end of the next run', async (_what, before) => {
    const bound = await steps(before)
    expect(bound).toBeGreaterThan(25)
    for (let n = 0; n < bound; n++) {
      const bench = agentBench()
      if (before !== undefined) {
        bench.offer(before)
        await bench.run()
      }
      bench.offer(two)
      bench.killAt(n)
      await expect(bench.run(), `killed at ${n}`).rejects.toBeInstanceOf(Killed)
      bench.killAt(Number.POSITIVE_INFINITY)
      expect(await bench.run(), `killed at ${n}`).toMatchObject({ installed: installed(two) })
      expect(['confirmed', 'up-to-date']).toContain((await bench.run()).is)
      expect(states(bench), `killed at ${n}`).toContain('confirmed')
      expect(bench.remembered.update).toBeUndefined()
    }
  })

  async function steps(before: Release | undefined): Promise<number> {
    const bench = agentBench()
    if (before !== undefined) {
      bench.offer(before)
      await bench.run()
    }
    const from = bench.operations
    bench.offer(two)
    await bench.run()
    return bench.operations - from
  }
})

async function* dieAfter(stream: AsyncIterable<Uint8Array>, chunks: number) {
  let count = 0
  for await (const chunk of stream) {
    if (count++ === chunks) throw new Killed()
    yield chunk
  }
}
