/** The options that name a data directory. Leaves to others: which one they name (data-directory.ts). */

export const DATA_OPTIONS: readonly (readonly [string, string])[] = [
  ['--data <dir>', 'the data directory of the node (.data)'],
  ['--config <file>', 'the configuration of the node, which names it'],
]
