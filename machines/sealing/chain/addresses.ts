/** Where the actors of the simulated chain are. Decides: their addresses, by sectors' names. Pure. */
import { z } from 'zod'
import { formatAddress } from '../../../src/index.ts'
import type { MessageKind } from './settings.ts'

/** All that the chain as a whole remembers. */
export const CHAIN = formatAddress('sealing-chain', 'main')

/** Part of an address, so nothing else may come in. */
export const sectorText = z.string().regex(/^s-t0\d{1,15}-\d{1,15}$/, 's-t0<miner>-<number>')

/** @param sector its name, as people see it */
export function messageAddress(kind: MessageKind, sector: string): string {
  return formatAddress('sealing-message', `${kind}.${sector}`)
}
