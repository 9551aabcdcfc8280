/**
 * The last object of each kind that lives no longer than a call or a transaction. When the garbage collector finds no
 * object of a shape, V8 drops the shape and all code that it has compiled for it, and the next transaction runs at a
 * quarter of the speed. So one of each stays.
 */
export const lastOfShape: {
  session?: object
  handle?: object
  result?: object
  /** Promises have a shape of their own in the scope of an AsyncLocalStorage. */
  promises?: readonly object[]
} = {}
