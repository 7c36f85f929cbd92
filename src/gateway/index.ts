export {
  type ApiAnswer,
  type ApiPart,
  messageOf,
  readAnswer,
  readPart,
} from './api-messages.ts'
export { checkListeners } from './doors.ts'
export { createGateway, type Gateway, type GatewayOptions } from './gateway.ts'
export type { GatewayLimits } from './limits.ts'
export {
  type SubjectRequests,
  type SubjectRequestsOptions,
  serveSubjects,
} from './subject-requests.ts'
