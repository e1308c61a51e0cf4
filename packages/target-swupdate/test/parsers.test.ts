import { tryParsers } from '../../../test/try-parsers.ts'
import { parsers } from './parsers.ts'

tryParsers(parsers)
