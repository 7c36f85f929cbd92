/**
 * The port to a sector manager: what steps need of it. Decides: how its failures are told apart. Leaves
 * to others: the way there (`manager-client`), what it answers.
 */
import type { ParamsOf, ResultOf, VenusCall } from './calls.ts'

export interface CallContext {
  /** The task that asks: the built-in manager gives a repeat of it the first answer. */
  taskId?: string
  signal?: AbortSignal
}

export interface ManagerCalls {
  /** @throws ManagerDown, ManagerRefusal */
  call<TCall extends VenusCall>(
    name: TCall,
    params: ParamsOf<TCall>,
    context?: CallContext,
  ): Promise<ResultOf<TCall>>
}

/** It could not be asked, or did not answer: nobody's fault but its own, and it will be back. */
export class ManagerDown extends Error {
  override readonly name = 'ManagerDown'
}

/** It answered with an error of JSON-RPC. */
export class ManagerRefusal extends Error {
  override readonly name = 'ManagerRefusal'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}
