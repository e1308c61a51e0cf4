import { describe, expect, test } from 'vitest'
import { postgresFailure } from '../src/postgres.ts'

const said = (code: string, message = 'no') => Object.assign(new Error(message), { code })

describe('an error of PostgreSQL', () => {
  test.each([
    ['25006', 'cannot execute INSERT in a read-only transaction, as a standby says after a failover'],
    ['25P03', 'terminating connection due to idle-in-transaction timeout'],
    ['57P01', 'terminating connection due to administrator command'],
    ['53300', 'too many connections'],
    ['40001', 'could not serialize access'],
    ['ECONNREFUSED', 'connect ECONNREFUSED'],
  ])('that says nothing about what was asked is tried again: %s, %s', (code, message) => {
    expect(postgresFailure(said(code, message), 'postgres://host/db')).toMatchObject({ code: 'JOURNAL_UNAVAILABLE', fault: 'unavailable' })
  })

  test.each([['42P01'], ['42703'], ['23505'], ['XX001']])('about the tables themselves is not tried again: %s', (code) => {
    expect(postgresFailure(said(code), 'postgres://host/db')).toMatchObject({ code: 'JOURNAL_CORRUPT', fault: 'invalid' })
  })
})
