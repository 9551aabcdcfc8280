/** The limits of the key-value store, the same on both databases. */

/** What a key may take, in bytes of UTF-8: a longer one would not fit into an index page of Postgres. */
export const MAX_KEY_BYTES = 1024

/** What a value may take, in bytes of its JSON text, where nothing else is set. */
export const DEFAULT_MAX_VALUE_BYTES = 16 * 1024 * 1024

/** The most parts that a path has. */
export const MAX_PARTS = 500

/** How far behind an array's end an index may be; what lies between is filled with null. */
export const MAX_GAP = 10_000

/** What one call may fill with null, over all of its indexes. */
export const MAX_FILL = 100_000

/** What one `setMany` may take, in characters of JSON: it is stored by one statement, which is one text. */
export const MAX_TOTAL_LENGTH = 64 * 1024 * 1024
