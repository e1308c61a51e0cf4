import { soakParsers } from '../../../test/try-parsers.ts'
import { parsers } from './parsers.ts'

soakParsers(parsers)
