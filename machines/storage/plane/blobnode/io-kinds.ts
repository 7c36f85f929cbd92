/** What a call to a disk is for, as its caller says (`?io=`): what no person waits for goes behind. */
import { z } from 'zod'

export const ioKind = z.enum(['client', 'repair', 'migrate', 'delete', 'inspect'])
export type IoKind = z.output<typeof ioKind>

export function isBackground(kind: IoKind): boolean {
  return kind !== 'client'
}
