/** The room of the Venus interface: names, numbers and shapes that both of its roles share. Pure. */
export * from './calls.ts'
export { cidOfCommitment, commitmentOfCid } from './commitment-cid.ts'
export * from './manager-calls.ts'
export * from './sectors.ts'
export { decodeParams, decodeResult, encodeParams, encodeResult } from './wire.ts'
