/**
 * The certificate by which an address proves itself. Decides: what a pair of files must hold, and what
 * TLS is spoken. Leaves to others: when the files are read again (credentials.ts).
 */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { type TlsConfig, TroupeError } from '../protocol/index.ts'

interface Read {
  options: SecureContextOptions
  /** Of the first certificate of the file: that of this machine. */
  own: X509Certificate
}

export class Certificate {
  readonly place: string
  readonly #config: TlsConfig
  #read: Read
  #changed: (options: SecureContextOptions) => void = () => {}

  private constructor(place: string, config: TlsConfig, read: Read) {
    this.place = place
    this.#config = config
    this.#read = read
  }

  /** @param place what errors call it @throws TroupeError `invalid-config` naming file and reason */
  static async open(place: string, config: TlsConfig): Promise<Certificate> {
    return new Certificate(place, config, await read(place, config))
  }

  get options(): SecureContextOptions {
    return this.#read.options
  }

  /** For people: whose it is, and until when. */
  get facts(): { subject: string; validTo: string } {
    const { subject, validTo } = this.#read.own
    return { subject: subject?.replaceAll('\n', ', ') ?? '', validTo }
  }

  /** Calls with the certificate that new connections are to see. */
  onChange(call: (options: SecureContextOptions) => void): void {
    this.#changed = call
  }

  /** @returns whether there is another one now @throws TroupeError `invalid-config`; that before stays */
  async renew(): Promise<boolean> {
    const next = await read(this.place, this.#config)
    const { cert, key } = this.#read.options
    if (next.options.cert === cert && next.options.key === key) return false
    this.#read = next
    this.#changed(next.options)
    return true
  }
}

async function read(place: string, { certFile, keyFile }: TlsConfig): Promise<Read> {
  const cert = await textOf(`${place}.certFile`, certFile)
  const key = await textOf(`${place}.keyFile`, keyFile)
  const options = { cert, key, minVersion: 'TLSv1.2' } as const
  let own: X509Certificate
  try {
    own = new X509Certificate(cert)
  } catch (cause) {
    const why = `${certFile} holds no certificate (PEM, "-----BEGIN CERTIFICATE-----")`
    throw refusal(`${place}.certFile: ${why}`, cause)
  }
  try {
    createSecureContext(options)
  } catch (cause) {
    // What OpenSSL says never quotes the key.
    const why = `${keyFile} is not the key of ${certFile} (PEM, without a passphrase)`
    throw refusal(`${place}.keyFile: ${why}: ${(cause as Error).message}`, cause)
  }
  return { options, own }
}

async function textOf(place: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such file' : message
    throw refusal(`${place}: ${path}: ${why}`, cause)
  }
}

function refusal(why: string, cause: unknown): TroupeError {
  return new TroupeError('invalid-config', why, { cause })
}
