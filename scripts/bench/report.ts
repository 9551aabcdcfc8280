/** From a result to what people read: tables for the terminal and the page, the README's block, the targets. */
import { type ContestantName, type Dialect, floorOf } from './contestant.ts'
import type { HotResult } from './hot.ts'
import type { MemoryResult } from './memory.ts'
import type { SizeResult } from './size.ts'

// The result ----------------------------------------------------------------------------------------------------

export interface ContestantResult {
  readonly contestant: ContestantName
  /** The median of the rounds, in the workload's unit. */
  readonly rate: number
  /** The range of the middle half of the rounds, as a part of the median. */
  readonly spread: number
  /** The medians of the rounds' quotients. */
  readonly toRaw?: number
  readonly toPostgresJs?: number
  readonly toKnex?: number
}

export interface WorkloadResult {
  readonly id: string
  readonly title: string
  readonly dialect: Dialect
  readonly width: number
  readonly unit: string
  readonly contestants: readonly ContestantResult[]
}

export interface StartResult {
  readonly dialect: Dialect
  readonly contestant: string
  readonly milliseconds: number
  readonly spread: number
  /** How many ms more than the bare driver; the median of the rounds' differences. */
  readonly overRaw: number
  readonly rssMegabytes: number
  readonly files: number
}

export interface BundleResult {
  readonly contestant: string
  readonly minified: number
  readonly gzipped: number
}

export interface InstallResult {
  readonly contestant: string
  readonly bytes: number
  readonly packages: number
}

export interface DelayResult {
  readonly contestant: string
  readonly work: 'set' | 'path-set' | 'held-lock'
  /** The median of the rounds' longest delays, in ms. */
  readonly delay: number
  readonly worst: number
  readonly writesPerSecond?: number
}

export interface SlowReadResult {
  readonly contestant: string
  /** True if the slow reads have a text of their own. */
  readonly hasOwnText: boolean
  readonly readsPerSecond: number
  /** Of the fast reads, in ms; medians of the rounds. */
  readonly p50: number
  readonly p99: number
}

export interface BenchResult {
  readonly date: string
  readonly rounds: number
  readonly milliseconds: number
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly memoryGigabytes: number
    readonly system: string
    /** How long one write of 4 KB with fsync takes on the disk of the SQLite files, in ms. */
    readonly syncMilliseconds: number
  }
  readonly versions: Readonly<Record<string, string>>
  readonly workloads: readonly WorkloadResult[]
  readonly starts: readonly StartResult[]
  readonly bundles: readonly BundleResult[]
  readonly installs: readonly InstallResult[]
  readonly delays: readonly DelayResult[]
  readonly slowReads?: readonly SlowReadResult[]
  readonly memory?: readonly ({ readonly dialect: Dialect } & MemoryResult)[]
  /** Measured by `--size`, in a run of its own. */
  readonly atSize?: { readonly date: string; readonly results: readonly SizeResult[]; readonly hot: readonly HotResult[] }
}

export const names: Record<Dialect, string> = { sqlite: 'SQLite', postgres: 'Postgres' }

// The targets ---------------------------------------------------------------------------------------------------

interface Check {
  readonly text: string
  readonly isMet: boolean
}

interface Goal {
  readonly title: string
  readonly goal: string
  /** What is found, or undefined where it was not measured. */
  find(result: BenchResult): Check | undefined
}

function contestantOf(result: BenchResult, id: string): ContestantResult | undefined {
  return result.workloads.find(workload => workload.id === id)?.contestants.find(({ contestant }) => contestant === 'duolect')
}

/** A rate compared with those of the bare driver and of knex. */
function rateGoal(title: string, id: string, raw: number | undefined, knex: number | undefined, rawName: string): Goal {
  return {
    title,
    goal: [raw && `≥ ${raw} × ${rawName}`, knex && `≥ ${knex} × knex`].filter(Boolean).join(', '),
    find(result) {
      const { toRaw, toKnex } = contestantOf(result, id) ?? {}
      if ((raw && toRaw === undefined) || (knex && toKnex === undefined)) return undefined
      const text = [raw && `${times(toRaw)} ${rawName}`, knex && `${times(toKnex)} knex`].filter(Boolean).join(', ')
      return { text, isMet: (toRaw ?? 0) >= (raw ?? 0) && (toKnex ?? 0) >= (knex ?? 0) }
    }
  }
}

/** A rate compared with that of postgres.js. */
function postgresJsGoal(title: string, id: string, wanted: number): Goal {
  return {
    title,
    goal: `≥ ${wanted} × postgres.js`,
    find(result) {
      const { toPostgresJs } = contestantOf(result, id) ?? {}
      if (toPostgresJs === undefined) return undefined
      return { text: `${times(toPostgresJs)} postgres.js`, isMet: toPostgresJs >= wanted }
    }
  }
}

function startGoal(dialect: Dialect, contestant = 'duolect', floor = 'bare driver'): Goal {
  return {
    title: `Cold start on ${contestant === 'duolect' ? names[dialect] : floor}, to the first row`,
    goal: `≤ ${floor} + 8 ms`,
    find(result) {
      const start = result.starts.find(found => found.dialect === dialect && found.contestant === contestant)
      return start && { text: `${floor} ${signed(start.overRaw)} ms`, isMet: start.overRaw <= 8 }
    }
  }
}

function delayGoal(title: string, works: readonly DelayResult['work'][], limit: number): Goal {
  return {
    title,
    goal: `≤ ${limit} ms`,
    find(result) {
      const found = result.delays.filter(({ contestant, work }) => contestant === 'duolect' && works.includes(work))
      if (found.length === 0) return undefined
      const delay = Math.max(...found.map(({ delay }) => delay))
      return { text: `${delay} ms`, isMet: delay <= limit }
    }
  }
}

function slowReadGoal(title: string, wantsOwnText: boolean): Goal {
  return {
    title,
    goal: '≤ 1 × raw',
    find({ slowReads = [] }) {
      const p99Of = (name: string) =>
        slowReads.find(({ contestant, hasOwnText }) => contestant === name && hasOwnText === wantsOwnText)?.p99 ?? Number.NaN
      const toRaw = p99Of('duolect') / p99Of('raw')
      return Number.isNaN(toRaw) ? undefined : { text: `${times(toRaw)} raw`, isMet: toRaw <= 1 }
    }
  }
}

const GOALS: readonly Goal[] = [
  rateGoal('SQLite kvs.get, one after another', 'sqlite get 1', 0.9, undefined, 'raw'),
  rateGoal('SQLite kvs.set, one after another', 'sqlite set 1', 0.9, undefined, 'raw'),
  rateGoal('SQLite kvs.set, 64 at a time, full durability', 'sqlite set 64', 5, 8, 'raw'),
  rateGoal('SQLite kvs.set of a path, 64 at a time, atomic', 'sqlite path-set 64', 5, 14, 'raw'),
  rateGoal('SQLite 1000 rows × 8 columns', 'sqlite rows 1', 1.8, undefined, 'raw'),
  rateGoal('SQLite 1000 rows × 8 columns to decode', 'sqlite typed-rows 1', 1.3, undefined, 'raw'),
  rateGoal('SQLite 10 000 rows by batch()', 'sqlite insert-batch 1', 0.8, undefined, 'raw'),
  rateGoal('SQLite 10 000 rows, each awaited in a transaction', 'sqlite insert 1', 0.35, undefined, 'raw'),
  rateGoal('Postgres kvs.get, one after another', 'postgres get 1', 0.95, undefined, 'raw'),
  rateGoal('Postgres kvs.set, one after another', 'postgres set 1', 0.95, undefined, 'raw'),
  rateGoal('Postgres kvs.get, 64 at a time, 10 connections', 'postgres get 64', 8, undefined, 'raw'),
  rateGoal('Postgres kvs.set, 64 at a time', 'postgres set 64', 5, undefined, 'raw'),
  rateGoal('Postgres kvs.set of a path, 64 at a time', 'postgres path-set 64', 6, undefined, 'raw'),
  rateGoal('Postgres one() by primary key', 'postgres one 1', 0.95, undefined, 'raw'),
  postgresJsGoal('Postgres one() by primary key', 'postgres one 1', 1.2),
  rateGoal('Postgres one() by primary key, 64 at a time', 'postgres one 64', 2, undefined, 'raw'),
  postgresJsGoal('Postgres one() by primary key, 64 at a time', 'postgres one 64', 1.2),
  rateGoal('Postgres 10 000 rows by batch()', 'postgres insert-batch 1', 5, undefined, 'raw, one by one'),
  startGoal('sqlite'),
  startGoal('postgres'),
  startGoal('sqlite', 'duolect on node:sqlite', 'node:sqlite'),
  {
    title: 'Core bundle without drivers',
    goal: '≤ 16 KB minified + gzip',
    find(result) {
      const bundle = result.bundles.find(({ contestant }) => contestant === 'duolect')
      return bundle && { text: `${kilobytes(bundle.gzipped)} KB`, isMet: bundle.gzipped <= 16_000 }
    }
  },
  slowReadGoal('Postgres, fast reads beside slow ones of another text: their 99th percentile', true),
  slowReadGoal('Postgres, the same beside slow ones of the same text', false),
  delayGoal('Event-loop delay, 64 writers, full durability', ['set', 'path-set'], 40),
  delayGoal('Event-loop delay while another process holds the lock 3 s', ['held-lock'], 50)
]

/** What was aimed at, what came, and whether that is enough. Targets that were not measured are left out. */
export function targetsOf(result: BenchResult): { title: string; goal: string; text: string; isMet: boolean }[] {
  return GOALS.flatMap(({ title, goal, find }) => {
    const check = find(result)
    return check === undefined ? [] : [{ title, goal, ...check }]
  })
}

// Numbers and tables --------------------------------------------------------------------------------------------

/** Three significant digits, thousands apart. */
function number(value: number): string {
  const rounded = Number(value.toPrecision(3))
  return rounded >= 1000 ? rounded.toLocaleString('en-US').replaceAll(',', ' ') : String(rounded)
}

export function times(value: number | undefined): string {
  return value === undefined ? '–' : `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ×`
}

function signed(value: number): string {
  return `${value >= 0 ? '+' : '−'} ${Math.abs(value).toFixed(1)}`
}

function kilobytes(bytes: number): string {
  return (bytes / 1000).toFixed(bytes < 100_000 ? 1 : 0)
}

function percent(part: number): string {
  return `${(part * 100).toFixed(0)} %`
}

type Alignment = 'left' | 'right'

function table(header: readonly string[], rows: readonly (readonly string[])[], alignments: readonly Alignment[] = []): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(header),
    `|${header.map((_, i) => (alignments[i] === 'left' || i === 0 ? '---|' : '--:|')).join('')}`,
    ...rows.map(line)
  ].join('\n')
}

function widthText(width: number): string {
  return width === 1 ? 'one after another' : `${width} at a time`
}

function workloadTable(workloads: readonly WorkloadResult[]): string {
  const contestants = [...new Set(workloads.flatMap(({ contestants }) => contestants.map(({ contestant }) => contestant)))]
  const rows = workloads.map(({ title, width, unit, contestants: found }) => [
    title,
    widthText(width),
    unit,
    ...contestants.map(name => {
      const one = found.find(({ contestant }) => contestant === name)
      if (one === undefined) return '–'
      const ratio = floorOf(name) === name || one.toRaw === undefined ? '' : ` (${times(one.toRaw)})`
      return name === 'duolect' ? `**${number(one.rate)}**${ratio}` : `${number(one.rate)}${ratio}`
    }),
    times(found.find(({ contestant }) => contestant === 'duolect')?.toKnex),
    percent(Math.max(...found.map(({ spread }) => spread)))
  ])
  return table(['work', 'calls', 'unit', ...contestants, 'duolect : knex', 'spread ≤'], rows, ['left', 'left', 'left'])
}

function targetTable(result: BenchResult): string {
  const rows = targetsOf(result).map(({ title, goal, text, isMet }) => [title, goal, text, isMet ? 'met' : '**missed**'])
  return table(['work', 'target', 'measured', ''], rows, ['left', 'left', 'left', 'left'])
}

function startTable(starts: readonly StartResult[]): string {
  const rows = starts.map(({ dialect, contestant, milliseconds, spread, overRaw, rssMegabytes, files }) => [
    names[dialect],
    contestant,
    `${milliseconds.toFixed(0)} ms`,
    overRaw === 0 ? '' : `${signed(overRaw)} ms`,
    percent(spread),
    `${rssMegabytes.toFixed(0)} MB`,
    String(files)
  ])
  return table(['database', '', 'to the first row', 'over the bare driver', 'spread', 'memory', 'files loaded'], rows, ['left', 'left'])
}

function sizeTable({ bundles, installs }: BenchResult): string {
  const rows = bundles.map(({ contestant, minified, gzipped }) => {
    const install = installs.find(found => found.contestant === contestant)
    return [
      contestant,
      `${kilobytes(minified)} KB`,
      `${kilobytes(gzipped)} KB`,
      install ? `${(install.bytes / 1e6).toFixed(1)} MB` : '–',
      install ? String(install.packages) : '–'
    ]
  })
  return table(['', 'minified', 'and gzip', 'installed', 'packages'], rows)
}

const WORKS: Record<DelayResult['work'], string> = {
  set: '64 writers, kvs.set',
  'path-set': '64 writers, kvs.set of a path',
  'held-lock': 'another process holds the lock for 3 s'
}

function delayTable(delays: readonly DelayResult[]): string {
  const rows = delays.map(({ contestant, work, delay, worst, writesPerSecond }) => [
    WORKS[work],
    contestant,
    `${number(delay)} ms`,
    `${number(worst)} ms`,
    writesPerSecond === undefined ? '' : number(writesPerSecond)
  ])
  return table(['work', '', 'longest delay', 'worst round', 'writes/s'], rows, ['left', 'left'])
}

function memoryTable(memory: NonNullable<BenchResult['memory']>): string {
  const rows = memory.map(({ dialect, minutes, calls, heap, rss, descriptorsAtStart, descriptorsAtEnd }) => [
    names[dialect],
    `${minutes} min`,
    number(calls),
    ...[heap, rss].map(values => `${values[0]} → ${values.at(-1)} MB (at most ${Math.max(...values)})`),
    `${descriptorsAtStart} → ${descriptorsAtEnd}`
  ])
  return table(['database', 'time', 'calls', 'heap after collection', 'resident', 'file descriptors'], rows)
}

function atSizeTable(results: readonly SizeResult[]): string {
  const rows = results.map(one => [
    names[one.dialect],
    one.keys.toLocaleString('en-US').replaceAll(',', ' '),
    Object.entries(one.pragmas)
      .map(([name, value]) => `\`${name} = ${value}\``)
      .join(', ') || '–',
    `${number(one.fileMegabytes)} MB`,
    ...[one.get, one.get64, one.set, one.set64, one.pathSet64, one.list, one.clear].map(number),
    `${one.rssMegabytes} (${one.ownMegabytes}) MB`
  ])
  return table(
    ['database', 'keys', 'pragmas', 'size', 'get', 'get, 64', 'set', 'set, 64', 'path set, 64', 'list', 'clear', 'memory (own)'],
    rows,
    ['left', 'right', 'left']
  )
}

function slowReadTable(results: readonly SlowReadResult[]): string {
  const rows = results.map(({ contestant, hasOwnText, readsPerSecond, p50, p99 }) => [
    hasOwnText ? 'another' : 'the same',
    contestant,
    number(readsPerSecond),
    `${number(p50)} ms`,
    `${number(p99)} ms`
  ])
  return table(['text of the slow reads', '', 'reads/s', 'median of the fast', 'their 99th percentile'], rows, ['left', 'left'])
}

function hotTable(results: readonly HotResult[]): string {
  const rows = results.map(({ dialect, hasReader, calls, firstRate, lastRate, tableMegabytes: { before, after }, logMegabytes }) => [
    names[dialect],
    hasReader ? 'open' : '–',
    number(calls),
    ...[firstRate, lastRate].map(number),
    `${number(before)} → ${number(after)} MB`,
    `${number(logMegabytes)} MB`
  ])
  return table(['database', 'old snapshot', 'calls', 'first tenth, calls/s', 'last tenth, calls/s', 'table', 'log'], rows, ['left', 'left'])
}

// What is printed -----------------------------------------------------------------------------------------------

/** The parts of a result as Markdown tables, each with a heading. */
function sections(result: BenchResult): (readonly [heading: string, content: string])[] {
  const parts: (readonly [string, string])[] = []
  for (const dialect of ['sqlite', 'postgres'] as const) {
    const workloads = result.workloads.filter(workload => workload.dialect === dialect)
    if (workloads.length > 0) parts.push([names[dialect], workloadTable(workloads)])
  }
  if (result.starts.length > 0) parts.push(['Cold start', startTable(result.starts)])
  if (result.bundles.length > 0) parts.push(['Sizes', sizeTable(result)])
  if (result.delays.length > 0) parts.push(['Event loop', delayTable(result.delays)])
  if (result.slowReads !== undefined && result.slowReads.length > 0) parts.push(['Slow reads', slowReadTable(result.slowReads)])
  if (result.memory !== undefined) parts.push(['Memory', memoryTable(result.memory)])
  if (result.atSize !== undefined) parts.push(['At size', atSizeTable(result.atSize.results)], ['Hot key', hotTable(result.atSize.hot)])
  if (targetsOf(result).length > 0) parts.push(['Targets', targetTable(result)])
  return parts
}

/** For the terminal: the tables, their columns lined up. */
export function terminalReport(result: BenchResult): string {
  return report(sections(result))
}

/** The same for what `--size` measures. */
export function atSizeReport(result: BenchResult): string {
  return report(sections(result).filter(([heading]) => ['At size', 'Hot key'].includes(heading)))
}

function report(parts: readonly (readonly [heading: string, content: string])[]): string {
  return parts.map(([heading, content]) => `${heading}\n${linedUp(content)}`).join('\n\n')
}

function linedUp(markdown: string): string {
  const rows = markdown
    .replaceAll('**', '')
    .split('\n')
    .filter(line => !/^\|[-:|]+$/.test(line))
    .map(line => line.slice(2, -2).split(' | '))
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map(row => (row[i] ?? '').length)))
  return rows.map(row => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd()).join('\n')
}

// The page ------------------------------------------------------------------------------------------------------

const EXPLANATIONS: Record<string, string> = {
  SQLite: `Calls in a second, as the median of the rounds; behind it, how many times the bare driver's that is. Every contestant has a file of its own in WAL mode with \`synchronous = FULL\` and \`foreign_keys = ON\`, and 10 000 keys with documents of about 200 bytes. The bare driver and drizzle are synchronous: for them, 64 at a time is one after another. For a path set, raw, kysely, knex and drizzle read, change and write in a transaction for each call; duolect does the same for all calls of a turn at once, and settles each promise after the commit. A path of the 100 KB document is looked up by \`json_extract\` in the database where SQL is at hand; duolect and keyv parse the document. keyv has tables of its own without a time of change, and, as its official adapter brings another driver, an adapter of others on better-sqlite3. The 10 000 rows are inserted by one INSERT each. The two contestants on \`node:sqlite\`, where they were measured, run in a Node.js that has it, which is another than the others' (above), and duolect's ratio there is to the bare \`node:sqlite\`. What it leaves out: several processes at a time, and data that does not fit into memory.`,
  Postgres: `The same, with at most 10 connections each. The server is on the same machine and runs with fsync off, so these numbers are those of the client, the protocol and the server's work in memory; with a disk or a network in between, everyone gets slower, and who needs fewer statements loses less. raw is \`pg\` with named statements; postgres.js pipelines and prepares by itself. 64 at a time are 64 callers that each wait for their answer before the next call; duolect puts what they ask in one turn into one or two statements. One after another, there is nothing to put together, and that is the number to read for a program with little traffic. The bulk forms of the others (knex's \`batchInsert\`, \`COPY\`) are not measured.`,
  'Cold start': `From the start of a process to its first row on the terminal: Node itself, loading, opening, a table, an INSERT and a SELECT. Each contestant has its own database, whose tables are there after a first start that is not timed. The number to read is the difference to the bare driver; on \`node:sqlite\` both run in a Node.js that has it. Memory is the resident size at the end. Files are counted in a run of their own. It leaves out what a cold disk cache would add: who loads more files loses more there.`,
  Sizes: `The bundle is what esbuild makes of \`createDatabase\` and \`sql\`, or of the others' equivalents, for both databases, without better-sqlite3 and pg. duolect's core is what a program loads at once: its source without what is imported on first use, which are the two drivers and the migrations; the next line is all of it. Installed is everything below \`node_modules\` that the package brings, again without the drivers. Of duolect, knex, drizzle and kysely only duolect has a key-value store, and only the others have a query builder.`,
  'Event loop': `How long the event loop could not run, at the longest, on SQLite with full durability: the median of the rounds and the worst of them. The others' calls are synchronous below, so that their promises settle without letting the event loop run; 64 writers that do nothing else keep it for as long as they write. A lock that another process holds is waited for by SQLite itself there, which blocks. The delay of a machine that is busy with other things is in all of these numbers.`,
  'Slow reads': `64 callers on Postgres read rows by their keys; one read of a hundred takes 200 ms, by another text or by the same. duolect sends reads that were fast over one connection, and leaves it when its oldest read takes long; the others take one of 10 connections for each read (raw) or send several over each (postgres.js). So many slow reads take all but one of the connections most of the time, so that the rates are alike.`,
  Memory: `64 callers with a mix of all calls, without a pause. The heap is measured after a garbage collection; it and the file descriptors have to be where they were. On SQLite two descriptors more are those of the second connection, which is opened when something is first read beside a transaction.`,
  'At size': `The key-value store with up to ten million keys, each with a document of about 200 bytes. \`get\` and \`set\` are calls in a second, on keys in random order, one call after another and 64 at a time. \`list\` yields entries in pages, and \`clear\` removes keys by a prefix; both are counted in keys a second. \`npm run bench -- --size\` measures this in a run of its own, with a new process for each size and each setting, and with the file in the system's cache. Memory is the resident size after the reads, and in parentheses the part that is the process's own. The rest are pages of the file that SQLite has mapped; the system takes them back when it needs memory. SQLite's page cache is 2 MB for each connection by default. In \`sqlite.pragmas\`, \`cache_size\` (in KB when negative) and \`mmap_size\` (in bytes) raise the rates and take memory, as the table shows. On Postgres \`shared_buffers\` is 256 MB, and the server's memory is not counted. A cold disk is not measured.

![Calls in a second, by the number of keys](performance-size.svg)`,
  'Hot key': `64 callers set a path of one document of about 200 bytes, without a pause, in a process of their own, in the same run as the sizes. With an old snapshot, another connection keeps a transaction open that has read the key before the first call. The log is the number of bytes that Postgres wrote to its WAL, or the size of SQLite's WAL file after the last call. duolect stores one value for all calls of a turn, so that a version of the row stands for up to 64 calls. With an old snapshot Postgres keeps every version, and each look-up goes through all of them; SQLite cannot copy its log back into the file. Autovacuum is off.`,
  Targets: `What duolect is built to reach, against the same run's other contestants. That no update is lost and no first start fails is not a question of speed: the test suite shows it.`
}

/** \`docs/performance.md\`. */
export function performancePage(result: BenchResult): string {
  const { machine, versions, rounds, milliseconds } = result
  const listed = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const parts = sections(result)
  const ordered = [...parts.filter(([heading]) => heading === 'Targets'), ...parts.filter(([heading]) => heading !== 'Targets')]
  return `# Performance

${note()}

Measured on ${result.date} by \`npm run bench\`: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGigabytes} GB, ${machine.system}; a write of 4 KB with fsync takes ${machine.syncMilliseconds} ms. ${listed.join(', ')}.

![Calls in a second, by contestant](performance.svg)

**Which number to read.** The ratios, not the rates: another machine has other rates. For a program that waits for each call, read *one after another*; for a server with many requests at the same time, *64 at a time*. *raw* is the floor: hand-written prepared statements on the bare driver. Where duolect is faster than raw, it does not execute SQL faster; it needs fewer statements or fewer commits for the same calls.

**How it is measured.** Each contestant is a process of its own with its own database and the same data. Before a workload is timed, each contestant's answers are checked, and after it the last write is read back. It runs until its calls are compiled. Then ${rounds} rounds of about ${milliseconds} ms each: within a round all contestants take their turn, and who begins changes from round to round. Before each round the young garbage of what came before is collected; a full collection would throw away optimised code, and the round would measure the compiler. A rate is the median of the rounds, a ratio the median of the rounds' quotients, and the spread the range of the middle half of the rounds, of the contestant where it is largest. A difference that is smaller than the spread says nothing.

${ordered.map(([heading, content]) => `## ${heading}\n\n${EXPLANATIONS[heading] ?? ''}\n\n${content}`).join('\n\n')}
`
}

function note(): string {
  return '<!-- Written by "npm run bench -- --write" from performance.json; changes here are lost. -->'
}

// The README's block --------------------------------------------------------------------------------------------

export const START_MARK = '<!-- performance -->'
export const END_MARK = '<!-- /performance -->'

/** What the chart shows, each one after another and 64 at a time. */
export const CHARTED = ['sqlite get', 'sqlite set', 'sqlite path-set', 'postgres get', 'postgres set', 'postgres path-set', 'postgres one']

/** What the README's table shows. */
const SHOWN: readonly string[] = [
  'sqlite get 1',
  'sqlite set 1',
  'sqlite set 64',
  'sqlite path-set 64',
  'sqlite rows 1',
  'postgres get 1',
  'postgres get 64',
  'postgres set 1',
  'postgres set 64',
  'postgres path-set 64',
  'postgres one 1',
  'postgres one 64'
]

/** What stands in the README between the marks, these included. */
export function readmeBlock(result: BenchResult): string {
  const workloads = SHOWN.flatMap(id => result.workloads.find(workload => workload.id === id) ?? [])
  const rows = workloads.map(({ title, dialect, width, unit, contestants }) => {
    const duolect = contestants.find(({ contestant }) => contestant === 'duolect')
    return [
      `${names[dialect]}: ${title}, ${widthText(width)}`,
      duolect ? `${number(duolect.rate)} ${unit}` : '–',
      times(duolect?.toRaw),
      times(duolect?.toKnex)
    ]
  })
  const start = (dialect: Dialect, contestant: string) => {
    const over = result.starts.find(found => found.dialect === dialect && found.contestant === contestant)?.overRaw
    return over === undefined ? '–' : `${Math.abs(over).toFixed(0)} ms ${over < 0 ? 'less' : 'more'}`
  }
  const bundle = (contestant: string) => kilobytes(result.bundles.find(found => found.contestant === contestant)?.gzipped ?? Number.NaN)
  return `${START_MARK}
![Calls in a second, one after another and 64 at a time: duolect, the bare drivers, postgres.js, drizzle, kysely, knex and keyv](docs/performance.svg)

${table(
  ['', 'duolect', 'the bare driver', 'knex'].map((name, i) => (i < 2 ? name : `to ${name}`)),
  rows
)}

A cold start on SQLite takes ${start('sqlite', 'duolect')} than with the bare driver (knex: ${start('sqlite', 'knex')}), on Postgres ${start('postgres', 'duolect')} (knex: ${start('postgres', 'knex')}). Bundled, duolect is ${bundle('duolect and its drivers')} KB of minified and gzipped code, ${bundle('duolect')} KB of it the core without the code for the two databases (knex ${bundle('knex')} KB). [docs/performance.md](docs/performance.md) has all numbers, how they were measured and what they leave out; \`npm run bench\` measures them again.
${END_MARK}`
}
