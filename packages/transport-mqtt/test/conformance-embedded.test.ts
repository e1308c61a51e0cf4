import { embeddedConformance } from './support/conformance.ts'

embeddedConformance()
