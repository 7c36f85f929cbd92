/**
 * Where the units of one blob lie, while something is done with it. Decides: that a volume is looked at
 * afresh once when a place turns out to be gone, and that who was asked there is asked at the new one.
 */

import { mayHaveMoved } from '../codes/index.ts'
import type { UnitPlace, UnitView, VolumesPort, VolumeView } from './ports.ts'

export class Mapping {
  readonly #volumes: Pick<VolumesPort, 'view'>
  readonly #first: VolumeView
  #view: VolumeView
  #renewal: Promise<void> | undefined

  constructor(volumes: Pick<VolumesPort, 'view'>, view: VolumeView) {
    this.#volumes = volumes
    this.#first = view
    this.#view = view
  }

  get vid(): number {
    return this.#view.vid
  }

  get units(): readonly UnitView[] {
    return this.#view.units
  }

  /** The unit must be one of the volume's. */
  unit(index: number): UnitView {
    const found = this.#view.units[index]
    if (found) return found
    throw new Error(`volume ${this.vid} has no unit ${index}`)
  }

  /** @throws as `ask`, at the new place where there is one */
  async at<T>(index: number, ask: (place: UnitPlace) => Promise<T>): Promise<T> {
    const first = this.unit(index)
    try {
      return await ask(first)
    } catch (thrown) {
      if (!mayHaveMoved(thrown)) throw thrown
      await this.renew()
      const second = this.unit(index)
      if (isSame(first, second)) throw thrown
      return await ask(second)
    }
  }

  /** Once. @returns the indexes of units that lie elsewhere than at first, or are up again */
  async renew(): Promise<number[]> {
    this.#renewal ??= this.#renewed()
    await this.#renewal
    const before = this.#first.units
    return this.#view.units.flatMap((unit, index) => {
      const old = before[index]
      const isOther = old === undefined || !isSame(old, unit) || (unit.isUp && !old.isUp)
      return isOther ? [index] : []
    })
  }

  async #renewed(): Promise<void> {
    try {
      this.#view = await this.#volumes.view(this.vid, { fresh: true })
    } catch {
      // What is known is what there is to go by; that units do not answer is told by who asked them.
    }
  }
}

function isSame(one: UnitPlace, other: UnitPlace): boolean {
  return one.vuid === other.vuid && one.address === other.address && one.diskId === other.diskId
}
