export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  const position = (sorted.length - 1) * part
  const low = sorted[Math.floor(position)] ?? Number.NaN
  const high = sorted[Math.ceil(position)] ?? Number.NaN
  return low + (high - low) * (position - Math.floor(position))
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The range of the middle half, as a part of the median. */
export function spread(values: readonly number[]): number {
  return (quantile(values, 0.75) - quantile(values, 0.25)) / median(values)
}

/** The median of the quotients of the rounds, whose two values were measured one after the other. */
export function ratio(values: readonly number[], base: readonly number[]): number {
  return median(values.map((value, i) => value / (base[i] as number)))
}

/** Rounded to so many significant digits, so that the stored result does not pretend to know more. */
export function rounded(value: number, digits = 4): number {
  return Number(value.toPrecision(digits))
}
