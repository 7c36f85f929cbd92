/**
 * `troupe actors watch`: changes as they happen, a line each, until Ctrl-C. Decides: what a line says.
 * Leaves to others: what is told, and how a broken connection is made good (event-source.ts).
 */
import type { Command } from 'commander'
import { stateText } from '../machine/light.ts'
import type { ActorRow } from '../protocol/index.ts'
import { toJson } from '../protocol/light.ts'
import { conditionOf } from './actor-text.ts'
import { verbClock } from './clock.ts'
import { eventsOf, type SentEvent } from './event-source.ts'
import { UsageError } from './exit-codes.ts'
import { actorPath } from './node-answers.ts'
import type { Session } from './session.ts'
import { oneLine } from './text.ts'
import type { AddVerb, Flags } from './verbs.ts'

type Filter = Readonly<Record<string, string | undefined>>

interface Transition {
  address: string
  turn: number
  cause: string
  from: string | null
  to: string
}

export function addWatchVerb(
  actors: Command,
  add: AddVerb,
  options: readonly (readonly [string, string])[],
  filterOf: (flags: Flags) => Filter,
): void {
  add(
    actors,
    'watch [actor]',
    'changes as they happen: of one actor every transition, or of a list',
    {
      options: [...options, ['--changes', 'of a list only what changes from now on']],
      examples: [
        'troupe actors watch order/7',
        'troupe actors watch --machine job --condition parked',
        'troupe actors watch --changes --json   # one JSON object a line',
      ],
      run: async (session, [actor], flags) => {
        const filter = filterOf(flags)
        const isFiltered = Object.values(filter).some((value) => value !== undefined)
        if (actor !== undefined && (isFiltered || flags['changes'] === true))
          throw new UsageError('name an actor or give filters, not both')
        const rows = flags['changes'] === true ? 'false' : undefined
        const path = actor === undefined ? '/troupe/v1/watch' : actorPath(actor, 'watch')
        const query = actor === undefined ? { ...filter, rows } : {}
        const { terminal, paint } = session
        let isBroken = false
        const lost = (why: string) => {
          if (!isBroken && !session.signal.aborted)
            terminal.writeError(`${paint('yellow', 'broken off')}: ${oneLine(why)}; trying again\n`)
          isBroken = true
        }
        for await (const sent of eventsOf(session, path, query, lost)) {
          isBroken = false
          tell(session, sent)
          if (sent.event === 'removed') return
        }
      },
    },
  )
}

function tell(session: Session, sent: SentEvent): void {
  if (session.json) return session.print(toJson(sent))
  const time = session.paint('dim', new Date(verbClock.now()).toTimeString().slice(0, 8))
  for (const line of linesOf(session, sent)) session.print(`${time}  ${line}`)
}

function linesOf(session: Session, sent: SentEvent): string[] {
  if (sent.event !== 'reset') return [lineOf(session, sent) ?? []].flat()
  const reset = session.paint('yellow', 'changes were missed; this is how it is now')
  // Of one actor the state comes along, of a list all rows follow.
  const isActor = 'address' in (sent.data as object)
  return isActor ? [reset, ...linesOf(session, { ...sent, event: 'state' })] : [reset]
}

function lineOf({ paint }: Session, { event, data }: SentEvent): string | undefined {
  switch (event) {
    case 'row':
    case 'state': {
      const row = data as ActorRow
      const condition = conditionOf(row.status, row.paused, row.parked)
      return `${oneLine(row.address)}  ${paint('green', oneLine(stateText(row.value)))}  ${condition}`
    }
    case 'transition': {
      const { address, turn, cause, from, to } = data as Transition
      const path = from === null || from === to ? to : `${from} → ${to}`
      return `${oneLine(address)}  ${paint('green', oneLine(path))}  ${oneLine(cause)}, turn ${turn}`
    }
    case 'emitted': {
      const emitted = data as { address: string; event: unknown }
      return `${oneLine(emitted.address)}  emitted ${oneLine(emitted.event)}`
    }
    case 'gone':
    case 'removed':
      return `${oneLine((data as { address: string }).address)}  ${paint('red', event)}`
    default:
      return undefined
  }
}
