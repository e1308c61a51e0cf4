import type { Generated } from 'kysely'

/** The tables of `schema.ts` as the query layer sees them; numbers are whole and below 2^53. */
export interface Tables {
  readonly entry: EntryTable
  readonly device: DeviceTable
  readonly label: { readonly device: string; readonly name: string; readonly value: string }
  readonly release: ReleaseTable
  readonly deployment: DeploymentTable
  readonly device_update: UpdateTable
  readonly lease: { readonly name: string; readonly holder: string; readonly token: number; readonly until: number }
  readonly audit: AuditTable
  readonly fleet: { readonly id: number; readonly revision: number }
}

interface EntryTable {
  readonly id: Generated<number>
  readonly key: string
  readonly value: string
  readonly version: number
  readonly expires: number | null
}

interface DeviceTable {
  readonly id: string
  readonly model: string | null
  readonly installed: string | null
  readonly bucket: number
  readonly version: number
}

interface ReleaseTable {
  readonly id: string
  readonly repository: string
  readonly version: string
  readonly digest: string | null
}

interface DeploymentTable {
  readonly number: Generated<number>
  readonly id: string
  readonly at: string
  readonly release: string
  readonly selector: string
  readonly waves: string
  readonly success_percent: string
  readonly failure_percent: string
  readonly wave_ms: number
  readonly proof: number
  readonly state: string
  readonly wave: number
  readonly size: number
  readonly bound: number
  readonly wave_at: string | null
  readonly forgiven: number
  readonly because: string
  readonly version: number
  readonly offered: Generated<number>
  readonly confirmed: Generated<number>
  readonly failed: Generated<number>
  readonly unobserved: Generated<number>
  readonly skipped: Generated<number>
  readonly withdrawn: Generated<number>
}

interface UpdateTable {
  readonly deployment: string
  readonly device: string
  readonly wave: number
  readonly state: string
  readonly attempt: number
  readonly attested: number
  readonly at: string
  readonly because: string
}

interface AuditTable {
  readonly id: Generated<number>
  readonly at: string
  readonly who: string
  readonly action: string
  readonly subject: string
  readonly because: string
}
