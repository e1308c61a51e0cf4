/** Versions are whole numbers from 1; what is none was given by no store, and matches no row. */
export function versionNumber(version: string): number {
  return /^[1-9][0-9]{0,15}$/.test(version) ? Number(version) : -1
}
