/** The figures that people read are those that were measured. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { chartOf } from '../scripts/bench/chart.ts'
import { type BenchResult, END_MARK, performancePage, readmeBlock, START_MARK } from '../scripts/bench/report.ts'
import { sizeChartOf } from '../scripts/bench/size-chart.ts'

const root = join(import.meta.dirname, '..')

function read(...path: string[]): string {
  return readFileSync(join(root, ...path), 'utf8')
}

const result = JSON.parse(read('docs', 'performance.json')) as BenchResult

describe('The stored result of the benchmark', () => {
  test('is of a whole run', () => {
    assert.ok(result.rounds >= 9, `${result.rounds} rounds`)
    assert.ok(result.workloads.length > 30, `${result.workloads.length} workloads`)
    assert.ok(result.starts.length > 0 && result.bundles.length > 0 && result.delays.length > 0)
  })

  test('is what the README shows', () => {
    const readme = read('README.md')
    const start = readme.indexOf(START_MARK)
    const end = readme.indexOf(END_MARK)
    assert.ok(start !== -1 && end > start, `README.md has no block from ${START_MARK} to ${END_MARK}`)
    assert.equal(readme.slice(start, end + END_MARK.length), readmeBlock(result))
  })

  test('is what the page shows', () => {
    assert.equal(read('docs', 'performance.md'), performancePage(result))
  })

  test('is what the chart shows', () => {
    assert.ok(existsSync(join(root, 'docs', 'performance.svg')))
    assert.equal(read('docs', 'performance.svg'), chartOf(result))
  })

  test('is what the chart by size shows', () => {
    const isDrawn = existsSync(join(root, 'docs', 'performance-size.svg'))
    assert.equal(isDrawn ? read('docs', 'performance-size.svg') : undefined, result.atSize && sizeChartOf(result.atSize.results))
  })
})
