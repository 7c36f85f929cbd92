/** The client: what it sends, and how it tells an outage of the manager from its answer. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { ManagerClient, managerUrl } from '../../../../machines/sealing/manager/index.ts'
import { ManagerDown, ManagerRefusal } from '../../../../machines/sealing/venus/index.ts'
import { base64, SPEC } from './rig.ts'

interface Heard {
  url: string
  headers: IncomingMessage['headers']
  body: { id: number; method: string; params: unknown }
}

const servers: Server[] = []

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

/** A manager that answers as it is told. */
async function manager(
  answer: (response: ServerResponse, heard: Heard) => void,
): Promise<{ address: string; heard: Heard[] }> {
  const heard: Heard[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Heard['body']
      const one = { url: request.url ?? '', headers: request.headers, body }
      heard.push(one)
      answer(response, one)
    })
  })
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { address: `/ip4/127.0.0.1/tcp/${port}`, heard }
}

const reply =
  (result: unknown) =>
  (response: ServerResponse, { body }: Heard) => {
    response.end(JSON.stringify({ jsonrpc: '2.0', id: body.id, result }))
  }

const thrownBy = (work: Promise<unknown>) => work.then(String, (error: unknown) => error)

it('addresses: urls and multiaddrs; a path of its own is kept', () => {
  const urls = {
    'http://m:1789': 'http://m:1789/rpc/v0',
    'https://m/venus/rpc': 'https://m/venus/rpc',
    '/ip4/127.0.0.1/tcp/1789': 'http://127.0.0.1:1789/rpc/v0',
    '/dns/manager.local/tcp/443/https': 'https://manager.local/rpc/v0',
    '/ip6/::1/tcp/1789/http': 'http://[::1]:1789/rpc/v0',
  }
  for (const [address, url] of Object.entries(urls)) expect(managerUrl(address).href).toBe(url)
  const wrong = ['m:1789', 'ftp://m', '/ip4/1.2.3.4/udp/1', '/ip4/1.2.3.4/tcp/0', '/ip4//tcp/1', '']
  for (const address of wrong) expect(() => managerUrl(address)).toThrow('is no address')
  expect(() => managerUrl('http://a:s3cret@m')).toThrow(/holds a password(?!.*s3cret)/)
})

it('sends the call as such managers read it, with its headers and the task', async () => {
  const { address, heard } = await manager(reply({ Res: 1, Desc: null, More: 'later' }))
  const headers = { authorization: 'Bearer t0ken' }
  const client = new ManagerClient({ address, headers })
  const sector = { ID: { Miner: 1, Number: 2 }, ProofType: 5 }
  const ticket = { Ticket: base64('t'), Epoch: 9 }
  const info = { CommR: base64('r'), CommD: base64('d'), Ticket: ticket }
  const context = { taskId: 'sealing-thread/ä.1#5:3' }
  const result = await client.call('SubmitPreCommit', [sector, info, false], context)
  expect(result).toEqual({ Res: 1, Desc: null })
  const bytes = (letter: string) => Array(32).fill(letter.charCodeAt(0))
  expect(heard[0]).toMatchObject({
    url: '/rpc/v0',
    headers: {
      authorization: 'Bearer t0ken',
      'x-troupe-task': 'sealing-thread%2F%C3%A4.1%235%3A3',
      'content-type': 'application/json',
    },
    body: {
      jsonrpc: '2.0',
      method: 'Venus.SubmitPreCommit',
      params: [sector, { CommR: bytes('r'), CommD: bytes('d'), Ticket: ticket }, false],
    },
  })
  expect(() => new ManagerClient({ address, headers: { 'x-a': 'sec\nret' } })).toThrow(
    /"x-a" cannot be a header$/,
  )
})

it.each<[string, (response: ServerResponse, heard: Heard) => void, string]>([
  ['a server error', (response) => response.writeHead(503).end('{"jsonrpc":"2.0"}'), 'HTTP 503'],
  [
    'a page',
    (response) => response.setHeader('content-type', 'text/html').end('<h1>'),
    'text/html',
  ],
  ['a wrong token', (response) => response.writeHead(401).end('{"error":{}}'), 'HTTP 401'],
  ['another place', (response) => response.writeHead(302, { location: '/x' }).end(), 'HTTP 302'],
  ['a cut connection', (response) => response.destroy(), 'AllocateSector: 127.0.0.1'],
  ['half an answer', (response) => response.end('{"jsonrpc":"2.0","id":1,'), 'no JSON-RPC'],
  [
    'an answer to somebody else',
    (response) => response.end('{"jsonrpc":"2.0","id":77}'),
    'another',
  ],
  [
    'a node that is busy',
    (response, { body: { id } }) => {
      const error = { code: 1, message: 'mailbox is full', data: { code: 'busy', retry: true } }
      response.end(JSON.stringify({ jsonrpc: '2.0', id, error }))
    },
    'mailbox is full',
  ],
])('%s is an outage', async (_what, answer, text) => {
  const { address } = await manager(answer)
  const client = new ManagerClient({ address })
  const thrown = await thrownBy(client.call('AllocateSector', [SPEC]))
  expect(thrown).toBeInstanceOf(ManagerDown)
  expect(String(thrown)).toContain(text)
})

it('nobody there, and nobody who answers in time, are outages too', async () => {
  const gone = await manager(() => {})
  servers[0]?.close()
  servers[0]?.closeAllConnections()
  const away = new ManagerClient({ address: gone.address })
  expect(String(await thrownBy(away.call('WorkerPing', [pingOf('w')])))).toContain('ECONNREFUSED')
  const { address } = await manager(() => {})
  const silent = new ManagerClient({ address, timeoutMs: 50 })
  const thrown = await thrownBy(silent.call('AllocateSector', [SPEC]))
  expect(thrown).toBeInstanceOf(ManagerDown)
  expect(String(thrown)).toContain('no answer within 50 ms')
  expect(silent.figures().get('AllocateSector')).toMatchObject({ calls: 1, errors: 1 })
})

it('an error of JSON-RPC is its answer, and so is a result that nobody can read', async () => {
  const { address } = await manager((response, { body: { id } }) => {
    const error = { code: 11_001, message: 'sector state not found' }
    response.end(JSON.stringify({ jsonrpc: '2.0', id, error }))
  })
  const client = new ManagerClient({ address })
  const refused = await thrownBy(client.call('WaitSeed', [{ Miner: 1, Number: 1 }]))
  expect(refused).toBeInstanceOf(ManagerRefusal)
  expect(refused).toMatchObject({ code: 11_001, message: 'sector state not found' })
  const odd = await manager(reply({ Ticket: 5 }))
  const other = new ManagerClient({ address: odd.address })
  const unreadable = await thrownBy(other.call('AssignTicket', [{ Miner: 1, Number: 1 }]))
  expect(unreadable).toBeInstanceOf(ManagerRefusal)
  expect(String(unreadable)).toContain("the manager's answer to AssignTicket")
})

it('whoever calls it off gets its own reason back', async () => {
  const { address, heard } = await manager(() => stop.abort(new Error('the sector is gone')))
  const stop = new AbortController()
  const client = new ManagerClient({ address })
  const call = client.call('AllocateSector', [SPEC], { signal: stop.signal })
  expect(String(await thrownBy(call))).toBe('Error: the sector is gone')
  expect(heard).toHaveLength(1)
  const late = client.call('AllocateSector', [SPEC], { signal: stop.signal })
  expect(String(await thrownBy(late))).toBe('Error: the sector is gone')
  expect(heard).toHaveLength(1)
})

function pingOf(Name: string) {
  return { Name, Dest: 'x:1', Summary: { Threads: 0, Empty: 0, Paused: 0, Errors: 0 } }
}
