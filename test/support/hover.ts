/** What an editor shows of a name: whether each public name, and each of its members, has a doc comment. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** A member's name and what stands before it: `readonly kvs:`, `get sql():`, `all<T>(`, `[Symbol.asyncDispose](`. */
const MEMBER = /^ +(?!private\b|protected\b)(?:(?:static|readonly|get|declare) )*((?:\[[\w.]+\]|\w+)?)\??(?:<.*?>)?[(:]/

/** Names, and members as `Name.member`, that have no doc comment, of those that a file of declarations exports. */
export function withoutComment(index: string): string[] {
  return exportsOf(index).flatMap(({ name, file }) => {
    const lines = readFileSync(file, 'utf8').split('\n')
    const start = lines.findIndex(line => new RegExp(`^export (?:declare )?(?:interface|type|class|function|const) ${name}\\b`).test(line))
    if (start === -1) return [`${name}: no declaration in ${file}`]
    const end = lines.findIndex((line, i) => i >= start && /^\S.*;$|^\}/.test(line) && !/^export .*\{$/.test(line))
    const found = hasComment(lines, start) ? [] : [name]
    for (let i = start + 1; i < end; i++) {
      const member = MEMBER.exec(lines[i] ?? '')?.[1]
      if (member !== undefined && !hasComment(lines, i)) found.push(`${name}.${member}`)
    }
    return found
  })
}

function hasComment(lines: readonly string[], i: number): boolean {
  return lines[i - 1]?.trimEnd().endsWith('*/') === true
}

/** What a file declares or passes on by name. */
function exportsOf(index: string): { name: string; file: string }[] {
  const text = readFileSync(index, 'utf8')
  const passedOn = [...text.matchAll(/^export (?:type )?\{([^}]*)\} from '(.+)\.[jt]s';$/gm)].flatMap(([, names = '', path = '']) =>
    names.split(',').map(name => ({ name: name.replace(/\btype\b/, '').trim(), file: join(dirname(index), `${path}.d.ts`) }))
  )
  const declared = [...text.matchAll(/^export (?:declare )?(?:interface|type|class|function|const) (\w+)/gm)]
  return [...passedOn, ...declared.map(([, name = '']) => ({ name, file: index }))]
}
