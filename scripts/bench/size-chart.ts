/** Draws how the rates change with the number of keys: a line for each kind of call, both axes logarithmic. */
import { names } from './report.ts'
import type { SizeResult } from './size.ts'

const TEXT = '#768390'
const LINES = [
  ['get64', 'get, 64 at a time', '#2f81f7'],
  ['get', 'get', '#6aa84f'],
  ['set64', 'set, 64 at a time', '#e0823d'],
  ['pathSet64', 'path set, 64 at a time', '#c9a227'],
  ['set', 'set', '#b083f0']
] as const

const WIDTH = 860
const HEIGHT = 300
const TOP = 34
const BOTTOM = HEIGHT - 30
const PLOT_WIDTH = 210

/** Where a value lies between two others, by their logarithms. */
function part(value: number, from: number, to: number): number {
  return Math.log(value / from) / Math.log(to / from)
}

function plot(results: readonly SizeResult[], left: number): string[] {
  const [first] = results as readonly [SizeResult, ...SizeResult[]]
  const keys = results.map(result => result.keys)
  const rates = results.flatMap(result => LINES.map(([field]) => result[field]))
  const [from, to] = [10 ** Math.floor(Math.log10(Math.min(...rates))), 10 ** Math.ceil(Math.log10(Math.max(...rates)))]
  const x = (count: number) => Math.round(left + PLOT_WIDTH * part(count, Math.min(...keys), Math.max(...keys)))
  const y = (rate: number) => Math.round(BOTTOM - (BOTTOM - TOP) * part(rate, from, to))
  const decades = Array.from({ length: Math.round(Math.log10(to / from)) + 1 }, (_, i) => from * 10 ** i)
  return [
    `<text x="${left}" y="16" font-weight="600">${names[first.dialect]}: calls/s by the number of keys</text>`,
    ...decades.flatMap(rate => [
      `<line x1="${left}" y1="${y(rate)}" x2="${left + PLOT_WIDTH}" y2="${y(rate)}" stroke="${TEXT}" stroke-opacity="0.3"/>`,
      `<text x="${left - 6}" y="${y(rate) + 4}" text-anchor="end">${short(rate)}</text>`
    ]),
    ...keys.map(count => `<text x="${x(count)}" y="${BOTTOM + 18}" text-anchor="middle">${short(count)}</text>`),
    ...LINES.flatMap(([field, , color]) => [
      `<polyline points="${results.map(result => `${x(result.keys)},${y(result[field])}`).join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`,
      ...results.map(result => `<circle cx="${x(result.keys)}" cy="${y(result[field])}" r="3" fill="${color}"/>`)
    ])
  ]
}

function short(value: number): string {
  return value >= 1e6 ? `${value / 1e6} M` : value >= 1000 ? `${value / 1000} k` : String(value)
}

/** The chart of the results without other pragmas, as an SVG text. */
export function sizeChartOf(results: readonly SizeResult[]): string {
  const plain = results.filter(({ pragmas }) => Object.keys(pragmas).length === 0)
  const parts = (['sqlite', 'postgres'] as const).flatMap((dialect, i) => {
    const own = plain.filter(result => result.dialect === dialect)
    return own.length < 2 ? [] : plot(own, 60 + i * (PLOT_WIDTH + 90))
  })
  const legend = LINES.flatMap(([, title, color], i) => [
    `<rect x="680" y="${TOP + i * 20}" width="12" height="12" rx="2" fill="${color}"/>`,
    `<text x="698" y="${TOP + i * 20 + 10}">${title}</text>`
  ])
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Calls in a second, by the number of keys" font-family="system-ui, sans-serif" font-size="11" fill="${TEXT}">
<title>Calls in a second, by the number of keys</title>
${[...parts, ...legend].join('\n')}
</svg>
`
}
