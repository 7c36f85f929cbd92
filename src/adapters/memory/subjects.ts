/**
 * Which subscriptions a subject reaches. Decides: a tree of tokens, so that a look-up costs one step
 * per token whatever the number of subscriptions; `*` is one token, a final `>` one or more.
 */
interface Node<T> {
  children: Map<string, Node<T>>
  /** Subscriptions that end here. */
  here: Set<T>
  /** Subscriptions that end here with `>`. */
  rest: Set<T>
}

export function hasWildcard(subject: string): boolean {
  return subject.split('.').some((token) => token === '*' || token === '>')
}

/** @throws RangeError for empty tokens, and for a `>` that is not the last token */
export function checkSubject(subject: string): void {
  const tokens = subject.split('.')
  const rest = tokens.indexOf('>')
  if (tokens.includes('') || (rest >= 0 && rest < tokens.length - 1)) {
    throw new RangeError(`"${subject}" is not a subject`)
  }
}

/** Whether any subject is matched by both. */
export function subjectsOverlap(one: string, other: string): boolean {
  const ours = one.split('.')
  const theirs = other.split('.')
  for (let at = 0; at < Math.max(ours.length, theirs.length); at++) {
    const our = ours[at]
    const their = theirs[at]
    if (our === undefined || their === undefined) return false
    if (our === '>' || their === '>') return true
    if (our !== their && our !== '*' && their !== '*') return false
  }
  return true
}

export class SubjectTree<T> {
  private readonly root: Node<T> = node()

  add(pattern: string, item: T): void {
    let at = this.root
    for (const token of pattern.split('.')) {
      if (token === '>') {
        at.rest.add(item)
        return
      }
      let child = at.children.get(token)
      if (child === undefined) {
        child = node()
        at.children.set(token, child)
      }
      at = child
    }
    at.here.add(item)
  }

  remove(pattern: string, item: T): void {
    this.removeBelow(this.root, pattern.split('.'), 0, item)
  }

  match(subject: string): T[] {
    const found: T[] = []
    this.matchBelow(this.root, subject.split('.'), 0, found)
    return found
  }

  private matchBelow(at: Node<T>, tokens: string[], index: number, found: T[]): void {
    const token = tokens[index]
    if (token === undefined) {
      found.push(...at.here)
      return
    }
    found.push(...at.rest)
    const exact = at.children.get(token)
    if (exact !== undefined) this.matchBelow(exact, tokens, index + 1, found)
    const any = at.children.get('*')
    if (any !== undefined && token !== '*') this.matchBelow(any, tokens, index + 1, found)
  }

  /** Removes branches that have become empty, too. */
  private removeBelow(at: Node<T>, tokens: string[], index: number, item: T): void {
    const token = tokens[index]
    if (token === undefined) {
      at.here.delete(item)
    } else if (token === '>') {
      at.rest.delete(item)
    } else {
      const child = at.children.get(token)
      if (child === undefined) return
      this.removeBelow(child, tokens, index + 1, item)
      if (child.children.size + child.here.size + child.rest.size === 0) at.children.delete(token)
    }
  }
}

function node<T>(): Node<T> {
  return { children: new Map(), here: new Set(), rest: new Set() }
}
