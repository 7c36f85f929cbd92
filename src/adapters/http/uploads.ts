/** Brings what commands wrote to the node, over HTTP. */
import type { RunKept, RunUpload, RunUploads } from '../../ports/index.ts'
import { pack, unpack } from '../../protocol/index.ts'
import type { HttpCaller } from './caller.ts'

const TIMEOUT_MS = 60_000

export class HttpRunUploads implements RunUploads {
  readonly #caller: HttpCaller

  constructor(caller: HttpCaller) {
    this.#caller = caller
  }

  async bring(upload: RunUpload): Promise<RunKept> {
    return unpack(
      await this.#caller.call('runs', pack(upload), { timeoutMs: TIMEOUT_MS }),
    ) as RunKept
  }
}
