/**
 * `troupe machines check`, in words. Leaves to others: what it does, which loads what a node is made of
 * (roll-out-run.ts).
 */
import type { Command } from 'commander'
import { DATA_OPTIONS } from './data-options.ts'
import type { AddVerb, LoadApps } from './verbs.ts'

/** @param apps those that `troupe start` would have */
export function addRollOutVerb(machines: Command, add: AddVerb, apps: LoadApps): void {
  add(machines, 'check', 'what new versions would do to the live actors; nothing is changed', {
    options: [
      ['--app <file...>', 'modules with the new machines, as for troupe start'],
      ...DATA_OPTIONS,
    ],
    examples: [
      'troupe machines check --app ./order-v2.ts --data /var/lib/troupe',
      'troupe machines check --app ./order-v2.ts   # asks the node: secrets and children stay hidden',
    ],
    run: async (session, _words, flags) => {
      const { checkMachines } = await import('./roll-out-run.ts')
      return checkMachines(session, flags, apps)
    },
  })
}
