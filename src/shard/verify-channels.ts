/**
 * Whether the channels between shards are whole. Decides: that the messages that wait in one have
 * numbers without gaps, and that the receiver has had whatever does not wait any more.
 */

export interface Outgoing {
  generation: number
  /** The number that the next message gets; undefined in the channel of a shard to itself. */
  next: number | undefined
  /** Of the messages that wait. */
  first: number | undefined
  last: number | undefined
  gaps: number
}

/** By the other shard. */
export interface ChannelEnds {
  outgoing: Map<number, Outgoing>
  inbound: Map<number, { generation: number; last: number }>
}

type Tell = (subject: string, what: string) => void

export function outgoingOf({ outgoing }: ChannelEnds, target: number): Outgoing {
  let channel = outgoing.get(target)
  if (!channel) {
    channel = { generation: 1, next: undefined, first: undefined, last: undefined, gaps: 0 }
    outgoing.set(target, channel)
  }
  return channel
}

/** A message that waits, in the order of their numbers. */
export function noteMessage(channel: Outgoing, sequence: number): void {
  if (channel.last !== undefined && sequence !== channel.last + 1) channel.gaps += 1
  channel.first ??= sequence
  channel.last = sequence
}

/** What one shard says of its own side. */
export function verifyChannel(
  shard: number,
  outgoing: ReadonlyMap<number, Outgoing>,
  tell: Tell,
): void {
  for (const [target, { next, last, gaps }] of outgoing) {
    const subject = `channel ${shard} → ${target}`
    if (gaps > 0) tell(subject, `the messages that wait have ${gaps} gaps in their numbers`)
    // What a shard sends itself begins where the waiting ones end.
    if (target === shard || last === undefined || last + 1 === next) continue
    tell(
      subject,
      `its last message has the number ${last}, the next one is to get ${next ?? 'none'}`,
    )
  }
}

/** What both sides say, each of the other; only where one snapshot holds both. */
export function verifyEnds(sides: ReadonlyMap<number, ChannelEnds>, tell: Tell): void {
  for (const [source, { outgoing }] of sides) {
    for (const [target, { generation, next, first }] of outgoing) {
      const inbound = sides.get(target)?.inbound.get(source)
      if (target === source || next === undefined || !sides.has(target)) continue
      if (inbound !== undefined && inbound.generation !== generation) continue
      const had = inbound?.last ?? 0
      const subject = `channel ${source} → ${target}`
      if (had >= next)
        tell(subject, `shard ${target} has had message ${had}; the next one is to get ${next}`)
      else if (had + 1 < (first ?? next))
        tell(
          subject,
          `messages ${had + 1} to ${(first ?? next) - 1} are lost: neither had nor waiting`,
        )
    }
    for (const [from, { last }] of sides.get(source)?.inbound ?? []) {
      if (last === 0 || !sides.has(from) || sides.get(from)?.outgoing.has(source)) continue
      tell(
        `channel ${from} → ${source}`,
        `shard ${source} has had ${last} messages; none were sent`,
      )
    }
  }
}
