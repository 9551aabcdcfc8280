/**
 * Draws the chart of a result: for each workload a group of bars, one a contestant, as long as its rate. On the left the
 * calls are made one after another, on the right 64 at a time.
 */
import { CONTESTANTS, type ContestantName, floorOf } from './contestant.ts'
import { type BenchResult, CHARTED, names, times, type WorkloadResult } from './report.ts'

/** Middle tones, which stand out on white and on black alike. */
const COLORS: Record<ContestantName, string> = {
  raw: '#7d8590',
  duolect: '#2f81f7',
  'postgres.js': '#3fa7a0',
  drizzle: '#6aa84f',
  kysely: '#b083f0',
  knex: '#e0823d',
  keyv: '#c9a227',
  'node:sqlite': '#7d8590',
  'duolect on node:sqlite': '#2f81f7'
}
const TEXT = '#768390'

const WIDTH = 860
const MARGIN = 10
const GROUP_WIDTH = (WIDTH - 3 * MARGIN) / 2
const NAME_WIDTH = 124
const VALUE_WIDTH = 128
const BAR = 13
const GAP = 4
const TITLE = 24

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x}" y="${y}" ${attributes}>${escaped}</text>`
}

function compact(rate: number): string {
  const digits = (value: number) => Number(value.toPrecision(3))
  return rate >= 1e6 ? `${digits(rate / 1e6)}M` : rate >= 1000 ? `${digits(rate / 1000)}k` : String(digits(rate))
}

function heightOf({ contestants }: WorkloadResult): number {
  return TITLE + contestants.length * (BAR + GAP) + 14
}

function group(workload: WorkloadResult, x: number, y: number): string[] {
  const { title, dialect, width, unit, contestants } = workload
  // One scale for each group: a rate of 64 at a time would leave nothing of those on the left.
  const calls = width === 1 ? 'one after another' : `${width} at a time`
  const longest = Math.max(...contestants.map(({ rate }) => rate))
  const space = GROUP_WIDTH - NAME_WIDTH - VALUE_WIDTH
  const ordered = CONTESTANTS.flatMap(name => contestants.find(({ contestant }) => contestant === name) ?? [])
  return [
    text(x, y + 12, `${names[dialect]}: ${title}, ${calls}, ${unit}`, 'font-weight="600"'),
    ...ordered.flatMap(({ contestant, rate, toRaw }, i) => {
      const top = y + TITLE + i * (BAR + GAP)
      const length = Math.max(1, Math.round((space * rate) / longest))
      const bar = x + NAME_WIDTH
      const floor = floorOf(contestant)
      const ratio = contestant === floor || toRaw === undefined ? '' : ` (${times(toRaw)} ${floor === 'raw' ? 'raw' : 'bare'})`
      const weight = contestant.startsWith('duolect') ? 'font-weight="600"' : ''
      return [
        text(bar - 6, top + 10, contestant, `text-anchor="end" ${weight}`),
        `<rect x="${bar}" y="${top}" width="${length}" height="${BAR}" rx="2" fill="${COLORS[contestant]}"/>`,
        text(bar + length + 6, top + 10, `${compact(rate)}${ratio}`, weight)
      ]
    })
  ]
}

/** The chart as an SVG text. */
export function chartOf(result: BenchResult): string {
  const parts: string[] = []
  let height = MARGIN
  for (const name of CHARTED) {
    const pair = [1, 64].map(width => result.workloads.find(({ id }) => id === `${name} ${width}`))
    pair.forEach((workload, column) => {
      if (workload !== undefined) parts.push(...group(workload, MARGIN + column * (GROUP_WIDTH + MARGIN), height))
    })
    height += Math.max(...pair.map(workload => (workload === undefined ? 0 : heightOf(workload))))
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Calls in a second, by contestant; longer is better" font-family="system-ui, sans-serif" font-size="11" fill="${TEXT}">
<title>Calls in a second, by contestant; longer is better</title>
${parts.join('\n')}
</svg>
`
}
