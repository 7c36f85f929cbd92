/** Objects over HTTP: put, get and delete over the units of volumes. */
export { type BlobId, formatBlobId, parseBlobId, type Slice } from './blob-id.ts'
export { type AccessLimits, accessLimits, BLOB_BYTES_MAX } from './limits.ts'
export { type AccessDeps, accessRoutes } from './routes.ts'
