import { tryParsers } from '../../../test/try-parsers.ts'
import { parsers } from './parsers.ts'

// Ten thousand chains are half a minute of one core.
tryParsers(parsers, { timeout: 600_000 })
