/** Floats as the server prints them, and as plain decimals. Pure. */

/**
 * A double as Postgres prints it, so that equal texts are equal doubles: since version 12 the shortest digits that
 * give it back, before that 17 digits (`extra_float_digits = 2`).
 */
export function printDouble(value: number, isShortest: boolean): string {
  // SQLite keeps the sign of a zero in a column without a type.
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  if (!isShortest) return print17(value)
  const size = Math.abs(value)
  if (size >= 1e-4 && size < 1e15) return String(value)
  return withExponent(value.toExponential())
}

/** As `printf("%.17g")` has it. */
function print17(value: number): string {
  const [mantissa = '', exponent = ''] = mantissa17(value).split('e')
  const power = Number(exponent)
  if (power < -4 || power >= 17) return withExponent(`${withoutZeros(mantissa)}e${exponent}`)
  const sign = value < 0 ? '-' : ''
  const digits = mantissa.replace(/[-.]/g, '')
  if (power < 0) return withoutZeros(`${sign}0.${'0'.repeat(-power - 1)}${digits}`)
  return withoutZeros(`${sign}${digits.slice(0, power + 1)}.${digits.slice(power + 1)}`)
}

/** 17 digits and the exponent. In the middle between two, JavaScript takes the larger one, C the even one. */
function mantissa17(value: number): string {
  const rounded = value.toExponential(16)
  const exact = value.toExponential(60)
  const end = exact.indexOf('.') + 17
  const isEven = /[02468]/.test(exact[end - 1] as string)
  return isEven && /^50*e/.test(exact.slice(end)) ? `${exact.slice(0, end)}${exact.slice(exact.indexOf('e'))}` : rounded
}

/** A decimal with a point, without the zeros at its end. */
function withoutZeros(decimal: string): string {
  return decimal.replace(/\.?0*$/, '')
}

/** Two digits of the exponent at least. */
function withExponent(text: string): string {
  const [mantissa = '', exponent = ''] = text.split('e')
  return `${mantissa}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`
}

/** A finite double as a decimal without an exponent, of the fewest digits that give it back. */
export function plainDouble(value: number): string {
  if (value === 0) return '0'
  const [mantissa = '', exponent = ''] = Math.abs(value).toExponential().split('e')
  const digits = mantissa.replace('.', '')
  const point = Number(exponent) + 1
  const sign = value < 0 ? '-' : ''
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`
  if (point >= digits.length) return sign + digits.padEnd(point, '0')
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`
}
