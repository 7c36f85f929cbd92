export { HttpCaller, type HttpCallerOptions } from './caller.ts'
export { HttpLink, type HttpLinkOptions } from './link.ts'
export { HttpRunUploads } from './uploads.ts'
