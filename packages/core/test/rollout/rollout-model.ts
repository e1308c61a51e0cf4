import { createHash } from 'node:crypto'
import { createGateway, createRollout, type FleetStore, type Gateway, isOtaError, type Rollout } from '@reflash/core'
import fc from 'fast-check'
import { expect } from 'vitest'
import { principal, world } from '../composition.ts'

// What a rollout is, in a few lines that share no code with it. Two deployments at most, of two versions; eight devices.

type Ended = 'confirmed' | 'failed' | 'skipped' | 'withdrawn'

interface Roll {
  readonly id: string
  readonly version: string
  readonly ring: string | undefined
  readonly waves: readonly number[]
  readonly success: number
  readonly failure: number
  state: 'running' | 'paused' | 'aborted' | 'finished'
  wave: number
  size: number
  bound: number
  forgiven: number
  readonly rows: Map<string, Ended | 'offered'>
}

interface Unit {
  version: string
  ring: string | undefined
  isKnown: boolean
  open: { readonly roll: Roll; begun: boolean; cancel: 'no' | 'asked' | 'refused' } | undefined
}

export type Step =
  | { readonly do: 'check-in' | 'begin' | 'succeed' | 'fail' | 'stop' | 'refuse'; readonly device: number }
  | { readonly do: 'label'; readonly device: number; readonly ring: 'a' | 'b' }
  | ({ readonly do: 'create'; readonly roll: number; readonly ring: 'a' | 'b' | undefined; readonly waves: readonly number[] } & Thresholds)
  | { readonly do: 'pause' | 'resume' | 'abort'; readonly roll: number }
  | { readonly do: 'tick' }

interface Thresholds {
  readonly success: number
  readonly failure: number
}

const device = fc.nat(7)
const roll = fc.nat(1)
const percent = fc.integer({ min: 1, max: 100 })
const creation = fc.record({
  do: fc.constant('create' as const),
  roll,
  ring: fc.constantFrom('a' as const, 'b' as const, undefined),
  waves: fc.constantFrom([10, 100], [50, 100], [100], [25, 50, 100]),
  success: percent,
  failure: percent,
})
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('check-in' as const), device }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom('succeed' as const, 'succeed' as const, 'fail' as const, 'begin' as const), device }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('stop' as const, 'refuse' as const), device }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('tick' as const) }) },
  { weight: 1, arbitrary: creation },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume' as const, 'abort' as const), roll }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('label' as const), device, ring: fc.constantFrom('a' as const, 'b' as const) }) },
)

/** Most histories begin with devices that have checked in and a deployment over all of them: an empty fleet has little to say. */
export const history: fc.Arbitrary<readonly Step[]> = fc
  .tuple(fc.nat(3), creation, fc.array(step, { maxLength: 50, size: 'max' }))
  .map(([kind, first, steps]) => {
    const everybody = Array.from({ length: 8 }, (_, index): Step => ({ do: 'check-in', device: index }))
    const begun: readonly Step[] = [
      ...everybody,
      { ...first, roll: 0, ring: kind === 1 ? first.ring : undefined },
      { do: 'tick' },
      ...everybody,
    ]
    return kind === 0 ? steps : [...begun, ...steps]
  })

const versions = ['1.1.0', '1.2.0'] as const
const first4 = (text: string): number => Number.parseInt(createHash('sha256').update(text).digest('hex').slice(0, 8), 16)
const count = ({ rows }: Roll, ...states: readonly string[]): number => [...rows.values()].filter((state) => states.includes(state)).length
const share = (whole: number, part: number): number => Math.ceil((whole * part) / 100)

/** So many have failed that the next tick pauses it. */
const fails = (roll: Roll): boolean => count(roll, 'failed') - roll.forgiven >= Math.max(1, share(roll.size, roll.failure))

/** Why an offer that was not begun is not repeated. */
const heldBack = (roll: Roll): string | undefined =>
  roll.state === 'paused' ? 'DEPLOYMENT_PAUSED' : fails(roll) ? 'TOO_MANY_FAILURES' : undefined

// A class for the hot state of one history.
class Model {
  readonly units = new Map<string, Unit>()
  readonly rolls: Roll[] = []

  unit(id: string): Unit {
    const known = this.units.get(id) ?? { version: '1.0.0', ring: undefined, isKnown: false, open: undefined }
    this.units.set(id, known)
    return known
  }

  position(id: string, roll: Roll): number {
    return (((first4(`device/${id}`) - first4(`deployment/${roll.id}`)) % 2 ** 32) + 2 ** 32) % 2 ** 32
  }

  governing({ ring }: Unit): Roll | undefined {
    return this.rolls.findLast(
      ({ state, ring: wanted }) => (state === 'running' || state === 'paused') && (wanted === undefined || wanted === ring),
    )
  }

  /** What the device is told: to stop, the version that it is offered, or the first reason why none is. */
  checkIn(id: string): string {
    const unit = this.unit(id)
    unit.isKnown = true
    const governs = this.governing(unit)
    const { open } = unit
    if (open !== undefined) {
      if (open.begun) {
        if (governs === open.roll || open.cancel === 'refused') return open.roll.version
        open.cancel = 'asked'
        return 'cancel'
      }
      if (governs === open.roll) return heldBack(governs) ?? governs.version
      open.roll.rows.set(id, 'withdrawn')
      unit.open = undefined
    }
    return this.decided(id, unit, governs)
  }

  decided(id: string, unit: Unit, roll: Roll | undefined): string {
    if (roll === undefined) return 'NO_DEPLOYMENT'
    const isInside = roll.wave > 0 && this.position(id, roll) <= roll.bound
    const row = roll.rows.get(id)
    const hasPlace = row === 'withdrawn' || (row === undefined && roll.rows.size < roll.size)
    if (unit.version >= roll.version) {
      if (roll.state === 'running' && isInside && hasPlace && !fails(roll)) roll.rows.set(id, 'skipped')
      return 'UP_TO_DATE'
    }
    if (roll.state === 'paused') return 'DEPLOYMENT_PAUSED'
    if (roll.wave === 0) return 'WAVE_NOT_STARTED'
    if (!isInside) return 'LATER_WAVE'
    if (row !== undefined && row !== 'withdrawn') return 'UPDATE_ENDED'
    if (fails(roll)) return 'TOO_MANY_FAILURES'
    if (!hasPlace) return 'WAVE_FULL'
    roll.rows.set(id, 'offered')
    unit.open = { roll, begun: false, cancel: 'no' }
    return roll.version
  }

  end(id: string, how: 'confirmed' | 'failed' | 'withdrawn'): void {
    const unit = this.unit(id)
    const { roll } = unit.open as NonNullable<Unit['open']>
    roll.rows.set(id, how)
    if (how === 'confirmed') unit.version = roll.version
    unit.open = undefined
  }

  tick(): void {
    for (const roll of this.rolls) {
      if (roll.state !== 'running') continue
      if (fails(roll)) roll.state = 'paused'
      else if (!this.moved(roll, 0)) this.moved(roll, this.left(roll))
    }
  }

  moved(roll: Roll, left: number): boolean {
    const next = roll.waves[roll.wave]
    if (next === undefined) {
      if (count(roll, 'confirmed', 'failed', 'skipped') + left < roll.size) return false
      roll.state = 'finished'
    } else {
      const skipped = count(roll, 'skipped')
      const some = left > 0 && skipped === 0 ? 1 : 0
      const needed = Math.max(some, share(Math.max(0, roll.size - skipped - left), roll.success))
      if (roll.wave > 0 && count(roll, 'confirmed') < needed) return false
      this.open(roll, next)
    }
    return true
  }

  /** Places of the open wave for which nobody is there any more. */
  left(roll: Roll): number {
    const within = this.members(roll).filter(([id]) => this.position(id, roll) <= roll.bound)
    const fresh = within.filter(([id]) => !roll.rows.has(id)).length
    const withdrawn = within.filter(([id]) => roll.rows.get(id) === 'withdrawn').length
    return Math.max(0, roll.size - roll.rows.size - fresh) + count(roll, 'withdrawn') - withdrawn
  }

  members(roll: Roll): readonly (readonly [string, Unit])[] {
    return [...this.units].filter(([, { isKnown, ring }]) => isKnown && (roll.ring === undefined || roll.ring === ring))
  }

  open(roll: Roll, percent: number): void {
    const positions = this.members(roll)
      .map(([id]) => this.position(id, roll))
      .sort((a, b) => a - b)
    const size = share(positions.length, percent)
    if (size === 0) return
    roll.wave += 1
    roll.bound = Math.max(roll.bound, positions[size - 1] as number)
    const within = new Set(this.members(roll).flatMap(([id]) => (this.position(id, roll) <= roll.bound ? [id] : [])))
    const outside = [...roll.rows.keys()].filter((id) => !within.has(id)).length
    roll.size = Math.max(roll.size, size + outside)
  }
}

interface Real {
  readonly gateway: Gateway
  readonly rollout: Rollout
}

const by = { by: 'ann' }
const running = (version: string) => ({ model: 'board', installed: { version, state: 'confirmed' as const } })

/** Holds that a real rollout over `fleet` does, step by step, what the model does. */
export async function followRollout(steps: readonly Step[], fleet: FleetStore): Promise<void> {
  const { composition, clock, release } = world({ fleet })
  for (const version of ['1.0.0', ...versions]) release(version)
  const gateway = createGateway(composition)
  const real: Real = { gateway, rollout: createRollout(gateway.composition) }
  const ticker = real.rollout.ticker({ holder: 'one', countMs: 1 })
  const model = new Model()
  for (const one of steps) {
    await took(one, model, real, () => ticker.tick())
    // What others changed is seen after a second.
    clock.advance(1_500)
    for (const roll of model.rolls) await sameAs(roll, fleet)
  }
}

async function took(one: Step, model: Model, { gateway, rollout }: Real, tick: () => Promise<unknown>): Promise<void> {
  const asks = async (id: string): Promise<string> => {
    const { offer, cancel, because } = await gateway.checkIn(principal(id), running(model.unit(id).version))
    if (cancel !== undefined) return 'cancel'
    return offer?.version ?? because[0]?.code ?? 'none'
  }
  switch (one.do) {
    case 'check-in':
      return expect(await asks(`d${one.device}`)).toBe(model.checkIn(`d${one.device}`))
    case 'begin':
    case 'succeed':
    case 'fail':
    case 'stop':
    case 'refuse':
      return travelled(one.do, `d${one.device}`, model, gateway, asks)
    case 'label':
      await rollout.label(`d${one.device}`, { ring: one.ring }, by)
      Object.assign(model.unit(`d${one.device}`), { ring: one.ring, isKnown: true })
      return
    case 'create':
      return created(one, model, rollout)
    case 'tick':
      await tick()
      return model.tick()
    default:
      return moved(one.do, model.rolls[one.roll], rollout)
  }
}

async function travelled(
  how: 'begin' | 'succeed' | 'fail' | 'stop' | 'refuse',
  id: string,
  model: Model,
  gateway: Gateway,
  asks: (id: string) => Promise<string>,
): Promise<void> {
  const { open } = model.unit(id)
  if (open === undefined) return
  const seq = await openSeq(gateway, id)
  const who = principal(id)
  if (how === 'begin') {
    await gateway.report(who, seq, { state: 'downloading' })
    open.begun = true
  } else if (how === 'stop') {
    await gateway.report(who, seq, { state: 'canceled' })
    // One that nobody asked has failed.
    model.end(id, open.cancel === 'no' ? 'failed' : 'withdrawn')
  } else if (how === 'refuse') {
    await gateway.report(who, seq, { state: 'cancel-refused' })
    open.begun = true
    if (open.cancel === 'asked') open.cancel = 'refused'
  } else if (how === 'fail') {
    await gateway.report(who, seq, { state: 'failed', code: 'BROKEN' })
    model.end(id, 'failed')
  } else {
    await gateway.report(who, seq, { state: 'installed' })
    model.end(id, 'confirmed')
    expect(await asks(id)).toBe(model.checkIn(id))
  }
}

async function openSeq(gateway: Gateway, id: string): Promise<number> {
  const { composition } = gateway as Gateway & ReturnType<typeof createGateway>
  const record = (await composition.journal.get(`device/${id}`))?.value as { readonly open: { readonly seq: number } }
  return record.open.seq
}

async function created(one: Extract<Step, { do: 'create' }>, model: Model, rollout: Rollout): Promise<void> {
  // The older version first: what a fleet goes back to is not this model's affair.
  if (model.rolls.length !== one.roll) return
  const { ring, waves, success, failure } = one
  const id = `roll-${one.roll}`
  const version = versions[one.roll] as string
  const selector = ring === undefined ? {} : { ring: [ring] }
  await rollout.create({ id, version, selector, waves, successPercent: success, failurePercent: failure }, by)
  model.rolls.push({
    id,
    version,
    ring,
    waves,
    success,
    failure,
    state: 'running',
    wave: 0,
    size: 0,
    bound: -1,
    forgiven: 0,
    rows: new Map(),
  })
}

const from: Readonly<Record<'pause' | 'resume' | 'abort', readonly Roll['state'][]>> = {
  pause: ['running'],
  resume: ['paused'],
  abort: ['running', 'paused'],
}
const to = { pause: 'paused', resume: 'running', abort: 'aborted' } as const

async function moved(how: 'pause' | 'resume' | 'abort', roll: Roll | undefined, rollout: Rollout): Promise<void> {
  if (roll === undefined) return
  const told: unknown = await rollout[how](roll.id, by).catch((error: unknown) => error)
  if (!from[how].includes(roll.state)) {
    expect(isOtaError(told) && told.code).toBe('DEPLOYMENT_STATE')
    return
  }
  roll.state = to[how]
  if (how === 'resume') roll.forgiven = count(roll, 'failed')
}

async function sameAs(roll: Roll, fleet: FleetStore): Promise<void> {
  const deployment = await fleet.deployment(roll.id)
  const { state, wave, size, bound } = roll
  const counters = {
    offered: count(roll, 'offered'),
    confirmed: count(roll, 'confirmed'),
    failed: count(roll, 'failed'),
    unobserved: 0,
    skipped: count(roll, 'skipped'),
    withdrawn: count(roll, 'withdrawn'),
  }
  expect(deployment).toMatchObject({ state, wave, size, bound, counters })
  expect(await fleet.recount(roll.id)).toEqual(counters)
  expect(roll.rows.size).toBeLessThanOrEqual(size)
}
