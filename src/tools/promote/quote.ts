/** How names and strings are written in SQL, the same in SQLite and Postgres. */

/** A name in double quotes. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A string literal. Postgres reads backslashes in it as they are (standard_conforming_strings). */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** A name as Postgres understands it without quotes: A to Z become a to z, and no other letter changes. */
export function foldName(name: string): string {
  return name.replace(/[A-Z]/g, letter => letter.toLowerCase())
}
