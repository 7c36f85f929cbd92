/** Figures of the worker that no room below has, as Prometheus reads them. Decides: their names. Pure. */
import type { CallFigures } from '../manager/index.ts'
import type { ThreadRow } from '../thread/index.ts'

export function managerFigures(figures: ReadonlyMap<string, Readonly<CallFigures>>): string {
  const lines = (name: string, help: string, value: (one: CallFigures) => number) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} counter`,
    ...[...figures].map(([method, one]) => `${name}{method="${method}"} ${value(one)}`),
  ]
  return [
    ...lines('sealing_manager_calls_total', 'Calls to the sector manager.', ({ calls }) => calls),
    ...lines(
      'sealing_manager_errors_total',
      'Calls to the sector manager that failed.',
      ({ errors }) => errors,
    ),
    ...lines(
      'sealing_manager_call_seconds_total',
      'Time spent on calls to the sector manager.',
      ({ ms }) => ms / 1_000,
    ),
    '',
  ].join('\n')
}

export function threadFigures(threads: readonly ThreadRow[]): string {
  const counts = new Map<string, number>()
  for (const { condition } of threads) counts.set(condition, (counts.get(condition) ?? 0) + 1)
  const name = 'sealing_threads'
  return [
    `# HELP ${name} Threads of this worker by condition.`,
    `# TYPE ${name} gauge`,
    ...[...counts].map(([condition, count]) => `${name}{condition="${condition}"} ${count}`),
    '',
  ].join('\n')
}
