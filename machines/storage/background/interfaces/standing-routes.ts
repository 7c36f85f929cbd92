/**
 * How the planner of balancing and the inspections stand, for the verbs `troupe storage balance` and `inspect`.
 * Decides: what is said of them, and that blobs which may be lost are a list. Leaves to others: what they do
 * (`balance`, `inspect`).
 */
import { z } from 'zod'
import {
  type ActorView,
  type AppRoute,
  type Client,
  type Clock,
  formatAddress,
  TroupeError,
} from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { refusal, storageAnswer, VID_MAX } from '../../plane/codes/index.ts'
import { refusing } from '../../plane/disks/index.ts'
import { balanceView, type PlannerRecord } from '../balance/index.ts'
import {
  INSPECT_ADDRESS,
  type InspectionRecord,
  type Inspections,
  type InspectRecord,
  inspectView,
  type Pass,
  type ReportAnswer,
} from '../inspect/index.ts'
import { beganAnswer, findingsAnswer, standingAnswer } from './answers.ts'
import { conditionOf, positionOf } from './conditions.ts'
import { onlyOne } from './figures.ts'

export interface StandingRoutesDeps {
  client: Client
  clock: Clock
  inspections: Inspections
}

const BALANCE_ADDRESS = formatAddress('balance-planner', 'main')
const COUNT_DEFAULT = 100
const COUNT_MAX = 1_000
/** Of volumes that were given up in this pass: the last ones. */
const SET_ASIDE_SHOWN = 5

type Fact = readonly [name: string, text: string]

const findingsQuery = z.object({
  count: z
    .string()
    .regex(/^[1-9]\d{0,3}$/)
    .optional(),
  /** From the page before. */
  cursor: z.string().optional(),
})

export function standingRoutes({ client, clock, inspections }: StandingRoutesDeps): AppRoute[] {
  return [
    {
      method: 'GET',
      path: '/storage/balance',
      summary: 'how equally full disks are, what is moved for that, or why nothing is',
      schemas: { answer: standingAnswer },
      handle: async () => storageAnswer(balanceOf(await onlyOne(client, BALANCE_ADDRESS))),
    },
    {
      method: 'GET',
      path: '/storage/inspect',
      summary: 'how far the pass over all volumes is, and what was found',
      schemas: { answer: standingAnswer },
      handle: async () =>
        storageAnswer(inspectionOf(await onlyOne(client, INSPECT_ADDRESS), clock.now())),
    },
    {
      method: 'GET',
      path: '/storage/inspect/lost',
      summary: 'blobs that may be lost, by the last inspection of their volume',
      schemas: { query: findingsQuery, answer: findingsAnswer },
      handle: async ({ query }) => storageAnswer(await lostOf(client, query)),
    },
    {
      method: 'POST',
      path: '/storage/inspect/begin',
      summary: 'the next pass over all volumes begins now',
      schemas: { answer: beganAnswer },
      handle: refusing(async ({ author }) => began(await inspections.begin(author))),
    },
    {
      method: 'POST',
      path: '/storage/inspect/volumes/:vid',
      summary: 'inspect one volume, whichever turn it has',
      schemas: { answer: beganAnswer },
      handle: refusing(async ({ params, author }) =>
        began(await inspections.inspect(vidOf(params['vid'] ?? ''), author)),
      ),
    },
  ]
}

function standingOf(view: ActorView, wait: { why: string; until: number | null } | null) {
  return {
    ...{ state: positionOf(view.value), condition: conditionOf(view) },
    why: view.parked?.error.message ?? view.paused?.reason ?? wait?.why ?? null,
    until: wait?.until ?? null,
  }
}

function balanceOf(view: ActorView) {
  const balance = balanceView(view.context as PlannerRecord)
  const { isOn: enable, levels, moving, still, moved, endedOtherwise } = balance
  const { why, until } = balance
  const facts: Fact[] = [
    ['moves', `${moving} under way${still === 0 ? '' : `, ${still} of them stand still`}`],
    ['moved', `${moved}; ${endedOtherwise} ended otherwise`],
    ...levels.map(({ idc, disks, units, bytes, isEven }): Fact => {
      const how = isEven ? 'even' : 'uneven'
      return [
        `idc ${idc}`,
        `${disks} disks, ${how}: units ${spread(units)}, bytes ${spread(bytes)}`,
      ]
    }),
  ]
  const standing = standingOf(view, why === null ? null : { why, until })
  return { enable, ...standing, ...{ levels, moving, still, moved }, facts }
}

/** `31% (24% to 40%)` */
function spread({ level, least, most }: { level: number; least: number; most: number }): string {
  return `${percent(level)} (${percent(least)} to ${percent(most)})`
}

function percent(part: number): string {
  return `${Math.round(part * 100)}%`
}

function inspectionOf(view: ActorView, now: number) {
  const {
    isOn: enable,
    pass,
    passBefore,
    pending,
    setAside,
    nextVid,
    totals,
    waits,
  } = inspectView(view.context as InspectRecord, now)
  const { free, leased, waiting } = pending
  const facts: Fact[] = [
    [`pass ${pass.number}`, passText(pass)],
    ...(passBefore === null ? [] : [[`pass ${passBefore.number}`, passText(passBefore)] as const]),
    ['volumes', `${leased} with workers, ${free} free, ${waiting} tried again later`],
    ['next', `volume ${nextVid} and up`],
    ['in all', `${totals.finished} inspected, ${totals.timedOut} not answered in time`],
    ...setAside
      .slice(-SET_ASIDE_SHOWN)
      .map(({ vid, why }): Fact => ['given up', `volume ${vid} until the next pass: ${why}`]),
  ]
  const next_vid = nextVid
  return {
    ...{ enable, ...standingOf(view, waits), pass: passOf(pass) },
    ...{ pass_before: passBefore && passOf(passBefore), pending, next_vid },
    ...{ set_aside: setAside, totals: { finished: totals.finished, timed_out: totals.timedOut } },
    facts,
  }
}

function passText({ inspected, missed, corrupt, lost, setAside, endedAt }: Pass): string {
  const found = `${missed} shards missing, ${corrupt} corrupt, ${lost} blobs may be lost`
  const left = setAside === 0 ? '' : `, ${setAside} given up`
  return `${inspected} volumes${left}: ${found}${endedAt === null ? '' : '; done'}`
}

function passOf({ number, begunAt, endedAt, inspected, missed, corrupt, lost, setAside }: Pass) {
  return {
    ...{ number, begun_at: begunAt, ended_at: endedAt, inspected, missed, corrupt, lost },
    set_aside: setAside,
  }
}

async function lostOf(client: Client, query: URLSearchParams) {
  const { count, cursor } = findingsQuery.parse(Object.fromEntries(query))
  const page = await client.list({
    filter: { machine: 'volume-inspection', where: { hasLost: true } },
    sort: { by: 'vid' },
    limit: Math.min(COUNT_MAX, Number(count ?? COUNT_DEFAULT)),
    ...(cursor === undefined ? {} : { cursor }),
  })
  const records = await Promise.all(page.rows.map(({ address }) => recordOf(client, address)))
  const volumes = records
    .filter((record) => record !== undefined)
    .map(({ vid, at, lost, lostBlobs }) => {
      const blobs = lostBlobs.map(({ bid, whole, away }) => ({ bid, whole, away }))
      return { vid, at, lost, blobs }
    })
  return { volumes, ...(page.cursor ? { cursor: page.cursor } : {}) }
}

/** Undefined where it has gone since it was listed. */
async function recordOf(client: Client, address: string): Promise<InspectionRecord | undefined> {
  return (await viewOf(client, address))?.context as InspectionRecord | undefined
}

function began(answer: ReportAnswer) {
  if ('ok' in answer) return storageAnswer({ ok: true })
  throw new TroupeError('conflict', answer.message)
}

/** @throws StorageRefusal 904 */
function vidOf(text: string): number {
  const vid = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0
  if (vid >= 1 && vid <= VID_MAX) return vid
  throw refusal(904, `"${text.slice(0, 32)}" is no volume: a number from 1 to ${VID_MAX}`)
}
