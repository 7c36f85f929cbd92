/** Windows: what happened in each of the last twenty minutes. */
export {
  addTo,
  NO_WINDOW,
  printed,
  printedBytes,
  SLOTS,
  shown,
  type Window,
  windowSchema,
} from './windows.ts'
