/** Loading of the drivers' packages, which are CommonJS. */
// As a whole, since bundles often begin with an import of createRequire by its name.
import * as modules from 'node:module'

/**
 * Loads a driver's package by `require`, where duolect is installed; else undefined, and `import` has to do it.
 *
 * `import` looks through CommonJS for its exports first, which takes 3 ms of a cold start. A bundle has the package
 * inside, where only `import` finds it, and must not take another one that lies beside it.
 */
export function requirePackage<T>(name: string): T | undefined {
  if (!/[\\/]node_modules[\\/]duolect[\\/]/.test(import.meta.url ?? '')) return undefined
  try {
    return modules.createRequire(import.meta.url)(name) as T
  } catch {
    // The error of import() says what is wrong.
    return undefined
  }
}
