/**
 * What operators ask of the leader, on its way there. Decides: its form between nodes. Leaves to others:
 * who is asked (leader-line.ts), what becomes of it (cluster/).
 */
import type { ClusterNode, LeaderReport, Order, OwnerChange } from '../cluster/index.ts'
import { TroupeError } from '../protocol/index.ts'
import type { LeaderLine } from './leader-line.ts'

const PLANS = 'plans'
const ORDER = 'order'

/** What is not known within that is shown without. */
const PLANS_MS = 1_000

/** From now on this node answers, while it leads. */
export function answerAsLeader(line: LeaderLine, node: ClusterNode): void {
  line.on(PLANS, () => {
    const report = node.leaderReport()
    if (report) return report
    throw new TroupeError('unavailable', 'the leader reads what was before; try again')
  })
  line.on(ORDER, (told) => {
    const [order, isDryRun] = told as [Order, boolean]
    return new Promise((resolve, reject) => {
      node.order(order, isDryRun, (outcome) => {
        if (outcome.kind === 'taken') resolve(outcome.changes)
        else reject(outcome.error)
      })
    })
  })
}

/** Null where nobody leads or answers. */
export async function plansOf(
  line: LeaderLine,
  { timeoutMs = PLANS_MS }: { timeoutMs?: number } = {},
): Promise<LeaderReport | null> {
  try {
    return (await line.ask(PLANS, null, { timeoutMs })) as LeaderReport
  } catch {
    return null
  }
}

/** @throws TroupeError */
export async function giveOrder(
  line: LeaderLine,
  order: Order,
  isDryRun: boolean,
): Promise<OwnerChange[]> {
  return (await line.ask(ORDER, [order, isDryRun])) as OwnerChange[]
}
