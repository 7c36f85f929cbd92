/**
 * How the tasks of a room come by what they work with. Decides: that the tasks of a node have what that node
 * opened, found by its section of the configuration, since that is what a task has of its node's app. Leaves to
 * others: what a room needs (its `ports.ts`), opening it with the node.
 */
import { configOf, type TaskAttempt, TroupeError } from '../../../src/index.ts'

export class NodePorts<TPorts extends object> {
  readonly #opened = new WeakMap<object, TPorts>()

  /** @param config of the node's app */
  open(config: object, ports: TPorts): void {
    this.#opened.set(config, ports)
  }

  /** @throws TroupeError `unavailable` while the node is starting */
  of(attempt: TaskAttempt<unknown>): TPorts {
    const ports = this.#opened.get(configOf<object>(attempt))
    if (ports !== undefined) return ports
    throw new TroupeError('unavailable', 'the node has not opened its store yet')
  }
}
