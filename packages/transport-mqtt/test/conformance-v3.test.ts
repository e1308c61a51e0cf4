import { conformance } from './support/conformance.ts'

conformance('3.1.1')
