/** A line for each table while it moves: rows, rate, time left. */

/** Where the command writes. */
export interface Output {
  /** Writes a line of the result. */
  print(line: string): void
  /** Writes a line of what went wrong. */
  error(line: string): void
  /** Shows how far it is; an empty line takes it away. */
  status(line: string): void
}

/** How often the line is written anew, in ms. */
const INTERVAL = 200

export class Progress {
  readonly #output: Output
  #what = ''
  #total = 0
  #rows = 0
  #start = 0
  #next = 0

  constructor(output: Output) {
    this.#output = output
  }

  begin(what: string, total: number): void {
    this.#what = what
    this.#total = total
    this.#rows = 0
    this.#start = performance.now()
    this.#next = this.#start + INTERVAL
  }

  /** Counts a row. */
  add(): void {
    this.#rows++
    if ((this.#rows & 1023) !== 0) return
    const now = performance.now()
    if (now < this.#next) return
    this.#next = now + INTERVAL
    const seconds = (now - this.#start) / 1000
    const rate = this.#rows / seconds
    const left = this.#total > this.#rows ? `, ${showSeconds((this.#total - this.#rows) / rate)} left` : ''
    const of = this.#total > 0 ? ` of ${count(this.#total)}` : ''
    this.#output.status(`${this.#what}: ${count(this.#rows)}${of} rows, ${count(Math.round(rate))}/s${left}`)
  }

  /** Seconds since `begin`, and the rate, in words. */
  get summary(): string {
    const seconds = (performance.now() - this.#start) / 1000
    const rate = this.#rows < 1000 ? '' : `, ${count(Math.round(this.#rows / seconds))} rows/s`
    return `${showSeconds(seconds)}${rate}`
  }

  end(): void {
    this.#output.status('')
  }
}

export function count(number: number): string {
  return number.toLocaleString('en-US')
}

function showSeconds(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  return seconds < 120 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`
}
