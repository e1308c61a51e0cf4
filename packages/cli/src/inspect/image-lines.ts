import type { ImageReport } from '@reflash/target-esp32'
import { formatBytes } from '../progress.ts'
import { type FileReport, isSwu, type SwuReport } from './inspect-file.ts'

/** What people want to see of a file, most important first. */
export function imageLines(report: FileReport): readonly string[] {
  const { problems } = report
  const rows = isSwu(report) ? swuRows(report) : imageRows(report)
  const width = 'security version'.length
  return [
    ...rows.flatMap(([name, value]) => (value === undefined || value === '' ? [] : [`  ${name.padEnd(width)}  ${value}`])),
    problems.length === 0 ? '  no problems' : `  ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}:`,
    ...problems.map(({ code, message }) => `    ${code}: ${message}`),
  ]
}

type Rows = readonly (readonly [string, string | undefined])[]

function imageRows({ kind, chip, sizeBytes, crc32, sha256, segments, ...report }: ImageReport): Rows {
  return [
    ['kind', kind],
    ['chip', chip],
    ['size', sizeText(sizeBytes)],
    ['crc32', `${crc32} (0x${crc32.toString(16).padStart(8, '0')})`],
    ['sha256', sha256],
    ['project', report.projectName],
    ['version', report.appVersion],
    ['esp-idf', report.idfVersion],
    ['security version', report.secureVersion?.toString()],
    ['segments', segments.length === 0 ? undefined : String(segments.length)],
  ]
}

// Version, hardware and names come out of the file: as JSON they stay on their line.
function swuRows({ kind, sizeBytes, sha256, version, hardware, isSigned, images }: SwuReport): Rows {
  return [
    ['kind', kind],
    ['size', sizeText(sizeBytes)],
    ['sha256', sha256],
    ['version', version === undefined ? undefined : JSON.stringify(version)],
    ['hardware', hardware?.map((each) => JSON.stringify(each)).join(', ')],
    ['signed', isSigned === undefined ? undefined : isSigned ? 'yes (by whom is not checked here)' : 'no'],
    ...(images ?? []).map(({ filename }): Rows[number] => ['image', JSON.stringify(filename)]),
  ]
}

function sizeText(sizeBytes: number): string {
  return `${sizeBytes} bytes (${formatBytes(sizeBytes)})`
}
