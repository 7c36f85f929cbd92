/**
 * Text as programs written in Rust print values for debugging, for the old forms of our listings.
 * Decides: escapes, and how an option and a duration of whole seconds look. Pure.
 */

const NAMED: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\0': '\\0',
}
/** All that is written by its number; a plain blank is not. */
const HIDDEN = /^(?! )[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}]$/u
/** A mark with nothing before it that it could stand on. */
const MARK = /^\p{Grapheme_Extend}$/u

/** In quotes, escaped as `{:?}` of a text. */
export function rustText(text: string): string {
  const escaped = [...text].map((char, at) => {
    const isHidden = HIDDEN.test(char) || (at === 0 && MARK.test(char))
    return NAMED[char] ?? (isHidden ? `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}` : char)
  })
  return `"${escaped.join('')}"`
}

export function rustOption(value: string | null): string {
  return value === null ? 'None' : `Some(${value})`
}

/** 822 s are `822s`. */
export function rustSeconds(seconds: number): string {
  return `${Math.trunc(seconds)}s`
}
