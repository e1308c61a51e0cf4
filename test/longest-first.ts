import { BaseSequencer, type TestSpecification } from 'vitest/node'

// Files that wait for brokers, databases and power cuts take longest, whatever their size; begun last, one of them would keep a core alone.
const long = /conformance|crash|power-cut|mosquitto|parsers|postgres|swupdate|fleet|interop\/|serve-and-device|mutants|hostile|attested/

/** Begins with the files that take longest; the others follow as vitest has them. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification): boolean => long.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}
