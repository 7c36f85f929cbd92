/** Networks as a configuration writes them. Decides: whether an address lies in one. */
import { BlockList, isIP } from 'node:net'
import { TroupeError } from '../protocol/index.ts'

export class Networks {
  readonly #list = new BlockList()
  readonly #isEmpty: boolean

  /** @throws TroupeError `invalid-config` */
  constructor(networks: readonly string[], place: string) {
    this.#isEmpty = networks.length === 0
    networks.forEach((network, index) => {
      const [address = '', prefix, ...more] = network.split('/')
      const family = isIP(address)
      const bits = prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix)
      const isWhole = prefix === undefined || /^\d{1,3}$/.test(prefix)
      if (family === 0 || more.length > 0 || !isWhole || bits > (family === 4 ? 32 : 128)) {
        const why = `"${network}" is not a network such as 10.0.0.0/8 or fd00::/8`
        throw new TroupeError('invalid-config', `${place}.${index}: ${why}`)
      }
      this.#list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6')
    })
  }

  get isEmpty(): boolean {
    return this.#isEmpty
  }

  /** Also an IPv4 caller of an IPv6 socket (`::ffff:10.0.0.1`), and an address of a link (`fe80::1%eth0`). */
  has(address: string): boolean {
    const family = isIP(address)
    return family !== 0 && this.#list.check(address, family === 4 ? 'ipv4' : 'ipv6')
  }
}
