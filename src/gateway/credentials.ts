/**
 * Files of tokens and certificates while a gateway runs. Decides: that they are read again every so
 * often, so that what is exchanged needs no restart, and that what cannot be used changes nothing and
 * is told once. By content: mounted secrets change behind links, with times of their own.
 */
import type { Log } from '../ports/index.ts'
import type { UserConfig } from '../protocol/index.ts'
import type { Certificate } from './certificates.ts'
import { readUsers, type Users } from './users.ts'

export interface CredentialsOptions {
  users: Users
  /** Those that `users` was made of. */
  configured: readonly UserConfig[]
  certificates: readonly Certificate[]
  everyMs: number
  log: Log
  /** Users have changed: what they hold open may no longer be theirs. */
  changed: () => void
}

export class Credentials {
  readonly #options: CredentialsOptions
  /** What is wrong at present, by what it is wrong with. */
  readonly #troubles = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  #configured: readonly UserConfig[]
  /** One reading at a time: an older one must not come in last. */
  #reading: Promise<unknown> = Promise.resolve()

  constructor(options: CredentialsOptions) {
    this.#options = options
    this.#configured = options.configured
    this.#arm()
  }

  /**
   * Takes these users from now on and reads all files at once.
   * @throws TroupeError `invalid-config` for the users; those before stay
   */
  async reload(configured: readonly UserConfig[]): Promise<void> {
    await this.#next(async () => {
      await this.#renewUsers(configured)
      this.#configured = configured
      this.#troubles.clear()
      await this.#look()
    })
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  /** From the end of the last look: a file system that does not answer must not gather more of them. */
  #arm(): void {
    if (this.#isClosed) return
    const look = () => this.#next(() => this.#look()).then(() => this.#arm())
    this.#timer = setTimeout(() => void look(), this.#options.everyMs).unref()
  }

  #next<T>(read: () => Promise<T>): Promise<T> {
    const reading = this.#reading.then(read)
    this.#reading = reading.catch(() => {})
    return reading
  }

  /** Never throws: nobody waits for it. */
  async #look(): Promise<void> {
    await this.#attempt('http.users', () => this.#renewUsers(this.#configured))
    for (const certificate of this.#options.certificates) {
      await this.#attempt(certificate.place, () => this.#renewCertificate(certificate))
    }
  }

  async #attempt(setting: string, renew: () => Promise<void>): Promise<void> {
    try {
      await renew()
      this.#troubles.delete(setting)
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown)
      if (this.#troubles.get(setting) === why) return
      this.#troubles.set(setting, why)
      this.#options.log.error({ setting, why }, 'cannot be read again; what was read before stays')
    }
  }

  async #renewUsers(configured: readonly UserConfig[]): Promise<void> {
    const { users, log, changed } = this.#options
    const names = users.replace(await readUsers(configured))
    if (names.length === 0) return
    log.info({ users: names }, 'users or their tokens have changed')
    changed()
  }

  async #renewCertificate(certificate: Certificate): Promise<void> {
    if (!(await certificate.renew())) return
    const { place: setting, facts } = certificate
    this.#options.log.info({ setting, ...facts }, 'new connections see another certificate')
  }
}
