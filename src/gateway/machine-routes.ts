/**
 * What machines are registered, for people and for programs that draw forms. Decides: the view of a
 * machine, with JSON Schema wherever a schema can be written as one.
 */
import { z } from 'zod'
import { type HostedMachine, leavesOf, mermaid, stateText } from '../machine/index.ts'
import type { TroupeNode } from '../node/index.ts'
import {
  formatAddress,
  type JsonSchema,
  jsonSchemaOf,
  type StateValue,
  TroupeError,
} from '../protocol/index.ts'
import type { Exchange } from './exchange.ts'
import { readQuery } from './parameters.ts'

export function listMachines(node: TroupeNode, { search }: Exchange): unknown {
  readQuery(search, {})
  const rows = [...node.machines.values()].map(({ definition, chart }) => ({
    name: definition.name,
    version: definition.version,
    states: chart.states.length,
    events: Object.keys(definition.events),
    app: node.apps.find(({ app }) => app.machines?.includes(definition))?.app.name ?? null,
  }))
  return { rows }
}

export const MACHINE_QUERY = { actor: z.string().optional() }

export async function showMachine(
  node: TroupeNode,
  name: string,
  exchange: Exchange,
): Promise<unknown> {
  const { actor } = readQuery(exchange.search, MACHINE_QUERY)
  const hosted = node.machines.get(name)
  if (!hosted) {
    const known = [...node.machines.keys()].join(', ') || 'none'
    throw new TroupeError(
      'unknown-machine',
      `no machine is named "${name.slice(0, 80)}"; registered are: ${known}`,
    )
  }
  if (actor === undefined) return viewOf(hosted, undefined)
  const address = formatAddress(name, actor, [], node.limits)
  const { value } = await node.client.as(exchange.access.author).get(address, exchange.options)
  return { ...viewOf(hosted, value), actor: address, current: leavesOf(value) }
}

function viewOf(hosted: HostedMachine, value: StateValue | undefined): Record<string, unknown> {
  const { definition, chart, tasks, retry } = hosted
  return {
    name: definition.name,
    version: definition.version,
    chartHash: chart.hash,
    states: chart.states,
    events: Object.entries(definition.events).map(([type, schema]) => ({
      type,
      schema: schemaOf(schema),
    })),
    internalEvents: definition.internal,
    input: schemaOf(definition.input),
    context: schemaOf(definition.context),
    secrets: definition.secrets,
    tasks: [...tasks.keys()],
    retry,
    retention: definition.retention,
    mermaid: mermaid(chart.machine, value === undefined ? undefined : stateText(value)),
  }
}

/** null when there is no schema, or none that JSON Schema has words for. */
function schemaOf(schema: z.ZodType | undefined): JsonSchema | null {
  const outcome = schema && jsonSchemaOf(schema)
  return outcome && 'schema' in outcome ? outcome.schema : null
}
