/** What the words stand for that verbs of this family stand below, in help. */

export const fleetVerbGroups = {
  'util worker': 'workers that ping this node',
  'sealing threads': 'threads of all workers',
}
export const managerVerbGroups = {
  'sealing sectors': 'sectors as the built-in sector manager knows them',
  'sealing deals': 'data that wait for a sector',
  'sealing stores': 'where sealed sectors are kept',
}
export const chainVerbGroups = { 'sealing chain': 'the simulated chain, and what goes wrong on it' }
export const wdpostVerbGroups = { 'util wdpost': 'jobs of window proofs' }

export const verbGroups = {
  sealing: 'sectors, the threads that seal them, and their workers',
  util: 'the words of the old sector manager',
  ...fleetVerbGroups,
  ...managerVerbGroups,
  ...chainVerbGroups,
  ...wdpostVerbGroups,
}
