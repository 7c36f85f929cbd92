/**
 * The settings of threads, put together of what stands in several places. Decides: the defaults, and that
 * a store's own file wins over the thread's keys, and these over `[sealing]`. Pure.
 */
import type { SealingSettings } from '../thread/step.ts'
import type { SealingKeys } from './worker-toml.ts'

const SECOND_MS = 1_000

/** Those of the workers whose files we read. */
export const SEALING_DEFAULTS: Readonly<SealingSettings> = {
  allowedMiners: [],
  allowedSizes: [],
  enableDeals: false,
  disableCc: false,
  maxDeals: null,
  minDealSpace: null,
  maxRetries: 5,
  sealIntervalMs: 30 * SECOND_MS,
  recoverIntervalMs: 60 * SECOND_MS,
  rpcPollingIntervalMs: 180 * SECOND_MS,
  requestTaskMaxRetries: 3,
  ignoreProofCheck: false,
  verifyAfterPc2: false,
}

const FIELDS = {
  allowed_miners: 'allowedMiners',
  allowed_sizes: 'allowedSizes',
  enable_deals: 'enableDeals',
  disable_cc: 'disableCc',
  max_deals: 'maxDeals',
  min_deal_space: 'minDealSpace',
  max_retries: 'maxRetries',
  seal_interval: 'sealIntervalMs',
  recover_interval: 'recoverIntervalMs',
  rpc_polling_interval: 'rpcPollingIntervalMs',
  request_task_max_retries: 'requestTaskMaxRetries',
  ignore_proof_check: 'ignoreProofCheck',
  verify_after_pc2: 'verifyAfterPc2',
} as const satisfies Record<keyof SealingKeys, keyof SealingSettings>

/** The later layer wins, key by key. */
export function settingsOf(...layers: readonly (SealingKeys | undefined)[]): SealingSettings {
  const settings: Record<string, unknown> = { ...SEALING_DEFAULTS }
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer ?? {})) {
      if (value !== undefined) settings[FIELDS[key as keyof SealingKeys]] = value
    }
  }
  return settings as unknown as SealingSettings
}
