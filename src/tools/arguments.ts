/** What a command is called with. */
import { parseArgs } from 'node:util'

type Options = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>['options']>

/** A mistake in how a command was called; its message is for the terminal. */
export class UsageError extends Error {}

/**
 * Reads the options of a command that takes nothing else.
 *
 * @throws UsageError
 */
export function readOptions<O extends Options>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, strict: true }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
