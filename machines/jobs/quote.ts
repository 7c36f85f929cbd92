/** Shell words: an argument list as one text that a POSIX shell reads back as the same arguments. */

const PLAIN = /^[A-Za-z0-9_@%+:,./-]+$/

/** One argument is a shell text already; several are quoted, so that none of them is interpreted. */
export function contentOf(words: readonly string[]): string {
  const [only] = words
  return words.length === 1 && only !== undefined ? only : words.map(quoteWord).join(' ')
}

export function quoteWord(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
