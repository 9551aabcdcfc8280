/** A file's text with its positions, and errors that show them. */

export class SourceFile {
  /** As it is shown in errors. */
  readonly path: string
  /** The text with LF, without a byte order mark. */
  readonly text: string
  #lineStarts: number[] | undefined

  constructor(path: string, text: string) {
    this.path = path
    this.text = text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
  }

  placeOf(offset: number): Place {
    const starts = this.#starts()
    let line = starts.findLastIndex(start => start <= offset)
    if (line === -1) line = 0
    const start = starts[line] as number
    const end = starts[line + 1]
    const content = this.text.slice(start, end === undefined ? undefined : end - 1)
    return { path: this.path, line: line + 1, column: offset - start + 1, content }
  }

  /** `file:line:column` of an offset. */
  describe(offset: number): string {
    const { path, line, column } = this.placeOf(offset)
    return `${path}:${line}:${column}`
  }

  #starts(): number[] {
    if (this.#lineStarts === undefined) {
      this.#lineStarts = [0]
      for (let at = this.text.indexOf('\n'); at !== -1; at = this.text.indexOf('\n', at + 1)) this.#lineStarts.push(at + 1)
    }
    return this.#lineStarts
  }
}

export interface Place {
  readonly path: string
  /** From 1. */
  readonly line: number
  /** From 1, in UTF-16 code units. */
  readonly column: number
  /** The line. */
  readonly content: string
}

/** What is wrong with a file: `file:line:column`, the problem with its mend, and the line. */
export class SourceError extends Error {
  readonly path: string
  readonly line: number
  readonly column: number
  /** The problem and its mend, without the place. */
  readonly problem: string

  constructor(file: SourceFile, offset: number, problem: string) {
    const { path, line, column, content } = file.placeOf(offset)
    const number = String(line)
    // Tabs stay, so that the caret stands below its character.
    const indent = content.slice(0, column - 1).replace(/[^\t]/g, ' ')
    super(`${path}:${line}:${column}: ${problem}\n  ${number} | ${content}\n  ${' '.repeat(number.length)} | ${indent}^`)
    this.path = path
    this.line = line
    this.column = column
    this.problem = problem
  }
}

Object.defineProperty(SourceError.prototype, 'name', { value: 'SourceError' })
