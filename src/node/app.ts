/**
 * `defineApp`: what a family of machines brings along. Decides: the shape of an app. Leaves to others:
 * serving its routes (gateway), its verbs (cli), its tasks (worker).
 */
import type { ZodObject, ZodType } from 'zod'
import type { Client } from '../client/index.ts'
import type { AnyTask, HostedMachine, MachineDefinition } from '../machine/index.ts'
import type { Clock, Log, Random } from '../ports/index.ts'
import type { Limits, Role } from '../protocol/index.ts'
import type { KeptRun, WorkerOrder, WorkerRegistrar } from '../worker/index.ts'

/** What an app's code is given on a running node. */
export interface AppContext<TConfig = unknown> {
  readonly client: Client
  /** The app's section of the configuration, checked by its schema. */
  readonly config: TConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly node: string
  readonly cluster: string
  readonly limits: Limits
  /** All that the node hosts, of whichever app. */
  readonly machines: ReadonlyMap<string, HostedMachine>
  /** A directory of this node's for the app's own files. */
  readonly directory: string
  /** Where the logs of runs can be read on this node, by the actor's address. */
  readonly runs: RunFiles
  /** The workers that this node serves, its own among them. */
  readonly workers: ServedWorkers
  /** The node that leads the cluster; a node that is alone leads itself. */
  readonly leader: AppLeader
}

/** What every node can say for the leader, by asking it. */
export interface AppLeader {
  /** Undefined while nobody is heard to lead. */
  name(): string | undefined
  /**
   * A report of this app (`leaderReports`), as the node that leads gives it; `told` and the answer travel
   * as data. It may be asked more than once for one answer.
   * @throws TroupeError as the report throws; `unavailable` where nobody leads, `no-answer`
   */
  ask(report: string, told?: unknown): Promise<unknown>
}

/** By their names. */
export type AppLeaderReports = Readonly<Record<string, (told: unknown) => unknown>>

/** What an app that keeps the list of workers can have done with them. */
export interface ServedWorkers {
  /** Whether a worker is given new tasks from now on; what runs goes on. */
  admit(name: string, order: WorkerOrder): void
}

/** Reading what commands wrote (the worker's log store). */
export interface RunFiles {
  /** The directory of the newest attempt of an actor's run, or undefined. */
  latest(address: string): Promise<string | undefined>
  /** Of all attempts that are kept, oldest first. */
  all(address: string): Promise<readonly KeptRun[]>
}

export interface AppOptions<TConfig> {
  /** Letters, digits, `_`, `-`: the name of its configuration section. */
  name: string
  machines?: readonly MachineDefinition[]
  /** Tasks beside those that the machines invoke. */
  tasks?: readonly AnyTask[]
  /** Actors with a fixed address, started once. Operators cannot cancel or delete them. */
  singletons?: readonly Singleton[]
  config?: ZodType<TConfig>
  routes?: (context: AppContext<TConfig>) => readonly AppRoute[]
  /** NATS request/reply subjects below `troupe.<cluster>.app.<name>`. */
  subjects?: (context: AppContext<TConfig>) => readonly AppSubject[]
  /** JSON-RPC 2.0 methods, served at `/rpc`. */
  methods?: (context: AppContext<TConfig>) => readonly AppMethod[]
  verbs?: readonly AppVerb[]
  /** What a word stands for that has verbs below it, in help: by its path, such as `jobs`. */
  verbGroups?: Readonly<Record<string, string>>
  /** Lines that `troupe start` prints when the node serves: what to try first. */
  greeting?: (context: AppContext<TConfig>, place: GreetingPlace) => Promise<readonly string[]>
  /** What only the node that leads may answer, such as statistics of the whole: see `AppContext.leader`. */
  leaderReports?: (context: AppContext<TConfig>) => AppLeaderReports
  daemons?: (context: AppContext<TConfig>) => readonly AppDaemon[]
  /**
   * Further queues of a worker that has this app, by what it is configured with: asked once, when it
   * starts. Of a worker in a process of its own they are called `<queue>/<more>`, below a queue that it
   * may take from anyhow.
   */
  workerQueues?: (config: TConfig, queues: readonly string[]) => readonly string[]
  /** Who may take tasks as a worker in a process of its own. One app of a node has this. */
  workers?: (context: AppContext<TConfig>) => WorkerRegistrar
  metrics?: (context: AppContext<TConfig>) => readonly AppMetric[]
}

export interface Singleton {
  machine: string
  id: string
  input?: unknown
}

/** Where a greeting appears, and what the lines in it can reach. */
export interface GreetingPlace {
  /** Where the node listens. */
  readonly url: string
  /** False when the lines go into a file or a service's log: they must hold no secret then. */
  readonly isTerminal: boolean
}

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD'

export interface AppRoute {
  method: HttpMethod
  /** As fastify writes it: `/server/execute`, `/task/detail/:type/:id`. */
  path: string
  /**
   * `parsed` (default): JSON or a form becomes an object; `raw`: bytes; `stream`: a readable, unread.
   */
  body?: 'parsed' | 'raw' | 'stream'
  /** Largest body in bytes for `parsed` and `raw`. Default 1 MiB. */
  bodyBytesMax?: number
  /** Parsers for further content types of old clients. */
  parsers?: Readonly<Record<string, (body: Uint8Array) => unknown>>
  /**
   * What the caller must be allowed to do, by the users of the configuration. Default `operate`, for GET
   * and HEAD `read`. `public`: anyone may call; the handler checks its caller itself, as seeds with
   * tokens of their own do.
   */
  role?: Role | 'public'
  /**
   * True: it stands at listeners of this app only, not at the main address. For paths of a seed that
   * another app, or the platform, has too.
   */
  listenerOnly?: boolean
  /** True: programs ask all day long, and a line in the log for each would hide the others. */
  isFrequent?: boolean
  /** One line for `/troupe/v1/openapi.json`. */
  summary?: string
  schemas?: RouteSchemas
  handle: (request: AppRequest) => Promise<AppResponse>
}

/**
 * What stands in `/troupe/v1/openapi.json`. A query and a parsed body that do not fit are refused as
 * `malformed` before `handle`, and `handle` gets the body as the schema gives it. What JSON Schema
 * cannot say is refused when the node starts.
 */
export interface RouteSchemas {
  /** Every parameter arrives as a text; one that is repeated as a list of texts. */
  query?: ZodObject
  body?: ZodType
  /** Of success; not checked. */
  answer?: ZodType
  /** Of success; default 200. */
  status?: number
}

export interface AppRequest {
  readonly method: string
  readonly path: string
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: unknown
  readonly remoteAddress: string
  /** Who asks, as the platform knows it. */
  readonly author: string
  /** Aborted when the client goes away, or the time that it gave is over. */
  readonly signal: AbortSignal
  /**
   * How long the caller waits, from now (`X-Troupe-Timeout-Ms`): for the calls that the handler makes.
   * When it is over, and no answer has begun, the caller is told `no-answer`.
   */
  readonly timeoutMs?: number
}

export interface AppResponse {
  /** Default 200. */
  status?: number
  headers?: Readonly<Record<string, string>>
  /** Objects become JSON; texts, bytes and streams are sent as they are. */
  body?: unknown
}

export interface AppSubject {
  name: string
  handle: (payload: unknown) => Promise<unknown>
}

export interface AppMethod {
  name: string
  params: ZodType
  /** What the caller must be allowed to do. Default `operate`. */
  role?: Role
  handle: (params: unknown, call: MethodCall) => Promise<unknown>
}

/** Who calls a method. */
export interface MethodCall {
  /** As the platform knows it. */
  readonly author: string
}

/** A CLI verb: `['jobs', 'submit']` is `troupe jobs submit`. */
export interface AppVerb {
  path: readonly string[]
  summary: string
  /** Positional arguments as commander writes them: `<id>`, `[name]`, `<command...>`. */
  arguments?: string
  options?: readonly { flags: string; description: string; default?: string | boolean }[]
  examples?: readonly string[]
  /**
   * True: it serves until a signal ends it (`VerbCall.signal`), and its own exit code counts then, as that
   * of `troupe start` does. Other verbs end with 130 or 143 when they are interrupted.
   */
  serves?: boolean
  /**
   * Resolves with the exit code, 0 to 255, or with nothing for 0. The command's own codes are in
   * README.md; a `TroupeError` that is thrown becomes a message and the exit code of its error code.
   */
  run: (call: VerbCall) => Promise<void> | Promise<number>
}

/**
 * An app in parts that are loaded when they are needed: a command that lists what a node tells needs no
 * machine. Its module must itself load little: verbs and the app come by `import()`.
 */
export interface LazyApp {
  name: string
  /** As of an app; all words that its verbs begin with stand here, unless they are another's. */
  verbGroups: Readonly<Record<string, string>>
  /**
   * Its verbs by the words that they begin with, such as `jobs` or `util worker`. Of what is loaded those
   * count that begin so.
   */
  verbs: Readonly<Record<string, () => Promise<readonly AppVerb[]>>>
  /** All of it, its verbs again among them. */
  load: () => Promise<App>
}

/** What a verb is given. */
export interface VerbCall {
  readonly arguments: readonly string[]
  readonly options: Readonly<Record<string, unknown>>
  /** True under `--json`: print one JSON value. */
  readonly json: boolean
  /** Calls the node that `--http` names. @throws TroupeError as the node answered */
  http(request: VerbRequest): Promise<VerbResponse>
  /**
   * As `http`, for bytes of any length: the body is sent as it comes, and the answer is read as it comes.
   * Both break off with an error when nothing moves for as long as `--timeout` says.
   * @throws TroupeError as the node answered, `malformed` where `--nats` is the way
   */
  transfer(request: VerbTransfer): Promise<VerbTransferred>
  /** Writes a line to standard output. */
  print(line: string): void
  /** Writes bytes or text without a line end. */
  write(chunk: string | Uint8Array): void
  /** Writes a line to standard error: hints. */
  note(line: string): void
  /** Draws how far it is on standard error, for a person at a terminal; what is written next replaces it. */
  progress(step: string, done: number, of: number): void
  /** Asks a person to type `yes`; where there is none the call is wrong: such a verb has an option `--yes`. */
  confirm(question: string): Promise<boolean>
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface VerbRequest {
  method: HttpMethod
  path: string
  query?: Readonly<Record<string, string | undefined>>
  /** Sent as JSON. */
  body?: unknown
}

export interface VerbResponse {
  status: number
  body: unknown
}

export interface VerbTransfer {
  method: HttpMethod
  path: string
  query?: Readonly<Record<string, string | undefined>>
  headers?: Readonly<Record<string, string>>
  body?: VerbBytes
}

/** What a verb sends. */
export interface VerbBytes {
  bytes: AsyncIterable<Uint8Array>
  /** How many there are, where it is known: what breaks off is then not taken for whole. */
  length?: number
}

export interface VerbTransferred {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** It throws where the answer breaks off. Who does not read it to its end ends it with `return`. */
  bytes: AsyncIterable<Uint8Array>
}

/** Something that runs beside the node as long as it does. */
export interface AppDaemon {
  name: string
  start(): Promise<void>
  stop(): Promise<void>
}

/** A value that Prometheus reads from `/metrics`; collected when it is asked for. */
export interface AppMetric {
  /** As Prometheus wants it: `<family>_<what>_<unit>`. */
  name: string
  help: string
  /** Names of its labels. */
  labels?: readonly string[]
  collect: () => Promise<readonly { labels: Readonly<Record<string, string>>; value: number }[]>
}

/** An app with its configuration's type forgotten, for lists of apps. */
export type App = Omit<AppOptions<unknown>, never>

/** Declares an app. */
export function defineApp<TConfig = undefined>(options: AppOptions<TConfig>): App {
  return options as unknown as App
}
