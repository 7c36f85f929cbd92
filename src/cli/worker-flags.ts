/** What `troupe worker` is told on its command line. */

export const KEY_VARIABLE = 'TROUPE_WORKER_KEY'

/** Which way it goes. */
export interface PlaceFlags {
  server?: string
  key?: string
  keyFile?: string
  nats?: string
  cluster?: string
  user?: string
  creds?: string
  config?: string
}

export interface WorkerFlags extends PlaceFlags {
  group: string
  slots: string
  name?: string
  data: string
  advertise?: string
  loadMax?: string
  memoryMin?: string
  drainTimeout: string
  handOver?: boolean
  takeOver?: boolean
  app?: string[]
  logLevel?: string
  json?: boolean
}
