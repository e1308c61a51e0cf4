import type { ImageReport } from '@reflash/target-esp32'
import { formatBytes } from '../progress.ts'

/** What people want to see of an image, most important first. */
export function imageLines(report: ImageReport): readonly string[] {
  const { kind, chip, sizeBytes, crc32, sha256, segments, problems } = report
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['kind', kind],
    ['chip', chip],
    ['size', `${sizeBytes} bytes (${formatBytes(sizeBytes)})`],
    ['crc32', `${crc32} (0x${crc32.toString(16).padStart(8, '0')})`],
    ['sha256', sha256],
    ['project', report.projectName],
    ['version', report.appVersion],
    ['esp-idf', report.idfVersion],
    ['security version', report.secureVersion?.toString()],
    ['segments', segments.length === 0 ? undefined : String(segments.length)],
  ]
  const width = 'security version'.length
  return [
    ...rows.flatMap(([name, value]) => (value === undefined || value === '' ? [] : [`  ${name.padEnd(width)}  ${value}`])),
    problems.length === 0 ? '  no problems' : `  ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}:`,
    ...problems.map(({ code, message }) => `    ${code}: ${message}`),
  ]
}
