/** Loading of the drivers' packages, which are CommonJS. */

/**
 * Loads a driver's package by `require`, where duolect is installed; else undefined, and `import` has to do it.
 *
 * `import` looks through CommonJS for its exports first, which takes 3 ms of a cold start. A bundle has the package
 * inside, where only `import` finds it, and must not take another one that lies beside it.
 */
export function requirePackage<T>(name: string): T | undefined {
  if (!/[\\/]node_modules[\\/]duolect[\\/]/.test(import.meta.url ?? '')) return undefined
  try {
    // An import of node:module takes half a millisecond itself. Node.js before 20.16 lacks this.
    return process.getBuiltinModule?.('node:module').createRequire(import.meta.url)(name) as T | undefined
  } catch {
    // The error of import() says what is wrong.
    return undefined
  }
}
