/**
 * A sector manager in this process that agrees at once, so that nothing of a step's time is its own.
 * Decides: its answers, and when there are sectors to seal.
 */
import { ManagerClient } from '../../machines/sealing/manager/index.ts'
import {
  type ParamsOf,
  type ResultOf,
  sealProofOfSize,
  type VenusCall,
} from '../../machines/sealing/venus/index.ts'

/** Nobody listens there, and nobody asks. */
const NOWHERE = 'http://127.0.0.1:1'
const MINER = 1_000
const BYTES_32 = Buffer.alloc(32, 7).toString('base64')
const ACCEPTED = { Res: 1, Desc: null }
const LANDED = { State: 3, Desc: null }
const STORE = { Name: 'long', Path: null, Meta: null }

const ANSWERS: Readonly<Partial<Record<VenusCall, unknown>>> = {
  AssignTicket: { Ticket: BYTES_32, Epoch: 100 },
  SubmitPreCommit: ACCEPTED,
  PollPreCommitState: LANDED,
  StoreReserveSpace: STORE,
  StoreBasicInfo: STORE,
  SubmitPersistedEx: true,
  WaitSeed: { ShouldWait: false, Delay: 0, Seed: { Seed: BYTES_32, Epoch: 260 } },
  SubmitProof: ACCEPTED,
  PollProofState: LANDED,
  ReportState: {},
  ReportFinalized: {},
}

export class ScriptedManager extends ManagerClient {
  #isOpen = false
  #number = 0
  /** Of threads that got nothing since. */
  #refused = 0
  #onRefused: () => void = () => undefined

  constructor() {
    super({ address: NOWHERE })
  }

  open(): void {
    this.#isOpen = true
  }

  /** Has no sector to give any more; resolves when so many threads have asked for one in vain. */
  close(threads: number): Promise<void> {
    this.#isOpen = false
    this.#refused = 0
    return new Promise((resolve) => {
      this.#onRefused = () => {
        this.#refused += 1
        if (this.#refused === threads) resolve()
      }
    })
  }

  override async call<TCall extends VenusCall>(
    name: TCall,
    _params: ParamsOf<TCall>,
  ): Promise<ResultOf<TCall>> {
    if (name === 'AllocateSector') return this.#sector() as ResultOf<TCall>
    const answer = ANSWERS[name]
    if (answer === undefined) throw new Error(`there is no answer to ${name}`)
    return answer as ResultOf<TCall>
  }

  #sector(): ResultOf<'AllocateSector'> {
    if (!this.#isOpen) {
      this.#onRefused()
      return null
    }
    this.#number += 1
    return {
      ID: { Miner: MINER, Number: this.#number },
      ProofType: sealProofOfSize('2KiB').number,
    }
  }
}
