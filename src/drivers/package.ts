/** Loading of the drivers' packages, which are CommonJS. */

/** The file that is running, and its `require`; there once they were needed. */
let file: string | undefined
let requireHere: ((name: string) => unknown) | undefined

/**
 * Loads a driver's package by `require`, where duolect is installed; else undefined, and `import` has to do it.
 *
 * `import` looks through CommonJS for its exports first, which takes 3 ms of a cold start. A bundle has the package
 * inside, where only `import` finds it, and must not take another one that lies beside it.
 */
export function requirePackage<T>(name: string): T | undefined {
  file ??= runningFile()
  return file !== undefined && /[\\/]node_modules[\\/]duolect[\\/]/.test(file) ? requireFrom<T>(file, name) : undefined
}

/** Loads a package as the running file would by `require`; undefined where that fails. */
export function requireInstalled<T>(name: string): T | undefined {
  file ??= runningFile()
  return file === undefined ? undefined : requireFrom<T>(file, name)
}

function requireFrom<T>(file: string, name: string): T | undefined {
  try {
    // An import of node:module takes half a millisecond itself. Node.js before 20.16 lacks this.
    requireHere ??= process.getBuiltinModule?.('node:module').createRequire(file)
    return requireHere?.(name) as T | undefined
  } catch {
    return undefined
  }
}

/** The file that is running, by the stack: webpack replaces `import.meta.url` by a path of the machine that builds. */
function runningFile(): string | undefined {
  // "at runningFile (file:///app/node_modules/duolect/dist/index.js:10:17)"
  const place = /(file:\/\/.+?|\/.+?|[A-Za-z]:\\.+?):\d+(?::\d+)?\)?$/m.exec(new Error('for its stack').stack?.split('\n')[1] ?? '')
  return place?.[1]
}
