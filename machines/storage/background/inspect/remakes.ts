/**
 * How often units of a volume were made anew, as the record of its inspections counts them. Decides: that such a
 * count is durable when it resolves, also of a volume that was never inspected before. Leaves to others: what is
 * kept of them (`volume-inspection.ts`), how many there may be (`unusable-units.ts`).
 */
import type { Client } from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import {
  type InspectionRecord,
  inspectionAddress,
  notInspected,
  type Remake,
} from './volume-inspection.ts'

export class Remakes {
  readonly #client: Client

  constructor(client: Client) {
    this.#client = client
  }

  /** The last ones. */
  async of(vid: number): Promise<readonly Remake[]> {
    const view = await viewOf(this.#client, inspectionAddress(vid))
    return (view?.context as InspectionRecord | undefined)?.remakes ?? []
  }

  async add(vid: number, remake: Remake): Promise<void> {
    const address = inspectionAddress(vid)
    await this.#client.ensure(address, notInspected(vid, remake.at))
    await this.#client.send(address, { type: 'REMADE', ...remake })
  }

  /** It was none. */
  async remove(vid: number, remake: Remake): Promise<void> {
    await this.#client.send(inspectionAddress(vid), { type: 'NOT_REMADE', ...remake })
  }
}
