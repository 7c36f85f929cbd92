/** The words of the store: ids, code modes, refusals, and JSON that keeps every digit. */
export {
  azOfUnit,
  CODE_MODES,
  type CodeMode,
  codeModeOf,
  type LocalStripe,
  localStripes,
  readsNeeded,
  shardBytesOf,
  unitCount,
} from './code-modes.ts'
export {
  mayHaveMoved,
  nothingIsThere,
  numberedAnswer,
  REFUSALS,
  type RefusalKind,
  readRefusal,
  refusal,
  refusalAnswer,
  refusalText,
  StorageRefusal,
} from './refusals.ts'
export { parseStorageJson, storageAnswer, storageJson, storageParsers } from './storage-json.ts'
export {
  bidSchema,
  EPOCH_MAX,
  INDEX_MAX,
  isSamePlace,
  nextEpoch,
  VID_MAX,
  type Vuid,
  type VuidParts,
  vuidOf,
  vuidParts,
  vuidSchema,
} from './vuid.ts'
