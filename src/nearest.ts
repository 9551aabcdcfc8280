/** The known name that a misspelled one most likely means, if one is near. */
export function nearestTo(name: string, known: readonly string[]): string | undefined {
  const distances = known.map(candidate => ({ candidate, distance: distance(name.toLowerCase(), candidate.toLowerCase()) }))
  distances.sort((a, b) => a.distance - b.distance)
  const best = distances[0]
  return best !== undefined && best.distance <= Math.max(1, Math.floor(name.length / 3)) ? best.candidate : undefined
}

/** Levenshtein's distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
