/** Loading of the drivers' packages, which are CommonJS. */
import { createRequire } from 'node:module'

/**
 * Loads a driver's package.
 *
 * `import` looks through CommonJS for its exports first, which takes 3 ms that `require` does not. A bundle has the
 * package inside, where only `import` finds it, and must not take another one that lies beside it.
 *
 * @param bundled imports it, so that a bundler sees it
 */
export async function loadPackage<T>(name: string, bundled: () => Promise<unknown>): Promise<T> {
  if (/[\\/]node_modules[\\/]duolect[\\/]/.test(import.meta.url ?? '')) {
    try {
      return createRequire(import.meta.url)(name) as T
    } catch {
      // The error of import() says what is wrong.
    }
  }
  return ((await bundled()) as { default: T }).default
}
