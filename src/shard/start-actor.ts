/**
 * The first turn of an actor. Decides: what an actor is before it has a state. One that fails to start
 * never was.
 */
import { initialTransition, stateText, stepInitial } from '../machine/index.ts'
import type { AddressText } from '../protocol/index.ts'
import type { Batch, ChildStart } from './batch.ts'
import type { ShardContext } from './context.ts'
import { identityOf, kindNameOf, logicAt } from './heads.ts'
import type { Cause } from './history.ts'
import { type Head, type Logic, NO_INDEX } from './records.ts'
import { applyReducerTurn, applyTurn } from './turn.ts'

export function makeChild(
  shard: ShardContext,
  batch: Batch,
  parent: Head,
  start: ChildStart,
): { head: Head } | { error: string } {
  const sources = [...parent.sources, start.src]
  const logic = logicAt(parent.hosted.chart, sources)
  if (!logic) return { error: `the actor "${start.src}" is not registered` }
  // Left by a child in a form that this program does not read: it could not be removed.
  if (shard.heads.has(start.to)) return { error: `there is an actor at ${start.to} already` }
  return startActor(shard, batch, {
    address: start.to,
    hosted: parent.hosted,
    logic,
    sources,
    input: start.input,
    cause: { type: 'start', by: parent.address },
  })
}

export interface StartRequest {
  address: AddressText
  hosted: Head['hosted']
  logic: Logic
  sources: readonly string[]
  input: unknown
  cause: Cause
}

/** Gives an actor its first state. There is none at its address: its caller has looked. */
export function startActor(
  shard: ShardContext,
  batch: Batch,
  request: StartRequest,
): { head: Head; reply: unknown } | { error: string } {
  const head = blankHead(shard, batch, request)
  batch.steps += 1
  // An actor that this very batch removed may have lived here.
  batch.removed.delete(head.address)
  shard.heads.add(head)
  const failed = firstTurn(shard, batch, head, request)
  if (typeof failed === 'string') {
    shard.heads.removeForGood(head.address)
    return { error: failed }
  }
  return { head, reply: failed.reply }
}

function firstTurn(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  request: StartRequest,
): { reply: unknown } | string {
  const identity = identityOf(head)
  if (request.logic.kind === 'reducer') {
    const outcome = initialTransition(request.logic.logic, request.input, identity)
    if (outcome.kind === 'failed') return outcome.message
    const turn = applyReducerTurn(shard, batch, head, outcome.context, request.cause)
    return turn.kind === 'refused' ? turn.error.message : { reply: undefined }
  }
  const outcome = stepInitial(request.logic.chart, request.input, identity)
  if (outcome.kind === 'failed') return outcome.message
  const turn = applyTurn(shard, batch, head, outcome.snapshot, outcome.effects, request.cause)
  return turn.kind === 'refused' ? turn.error.message : { reply: turn.reply }
}

function blankHead(shard: ShardContext, batch: Batch, request: StartRequest): Head {
  const { address, hosted, logic, sources } = request
  const keptFrom = shard.leftovers.keptFrom(address)
  const stored = {
    value: {},
    context: undefined,
    historyValue: null,
    status: 'active' as const,
    output: undefined,
  }
  return {
    version: hosted.definition.version,
    chartHash: logic.kind === 'chart' ? logic.chart.hash : '',
    birth: batch.nextBirth(),
    turn: 0,
    operations: 0,
    createdAt: batch.now,
    updatedAt: batch.now,
    since: batch.now,
    status: 'active',
    paused: null,
    parked: null,
    keptFrom,
    keptTo: keptFrom,
    timers: [],
    tasks: [],
    children: [],
    sources,
    recent: new Uint8Array(0),
    recentFrom: 1,
    address,
    hosted,
    logic,
    kindName: kindNameOf(hosted, sources),
    stored,
    snapshot: undefined,
    stateText: stateText(stored.value),
    index: NO_INDEX,
    bytes: 0,
    encoded: undefined,
    dirty: false,
    used: false,
    unreadable: null,
    newer: false,
    indexed: undefined,
  }
}
