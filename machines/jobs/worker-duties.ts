/**
 * Workers as the seed's API knows them: by the address that they advertise. Decides: that all workers
 * at an address are meant. Leaves to others: what a worker does then (`machines/workers`).
 */
import { type Client, TroupeError } from '../../src/index.ts'

export class WorkerDuties {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  /** How many workers were told. @throws TroupeError `not-found` */
  async set(address: string, isOnline: boolean, author: string): Promise<number> {
    const found: string[] = []
    const query = { filter: { machine: 'worker', where: { address } } }
    for await (const row of this.#client.rows(query)) found.push(row.address)
    if (found.length === 0) throw new TroupeError('not-found', `there is no worker at ${address}`)
    const event = { type: isOnline ? 'ONLINE' : 'OFFLINE' }
    const client = this.#client.as(author)
    await Promise.all(found.map((worker) => client.send(worker, event)))
    return found.length
  }
}
