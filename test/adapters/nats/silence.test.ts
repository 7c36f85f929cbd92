/** When a server that takes clients, and answers nothing, is left for another one. */
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/adapters/memory/index.ts'
import { askApi } from '../../../src/adapters/nats/api.ts'
import type { Connection } from '../../../src/adapters/nats/index.ts'
import { Silence } from '../../../src/adapters/nats/silence.ts'

describe('a silence', () => {
  const silent = () => {
    const clock = new VirtualClock()
    const silence = new Silence(clock)
    /** Asked, and not answered in so long. */
    const unanswered = (ms: number) => {
      const askedAtMs = silence.nowMs
      clock.advance(ms)
      return silence.isEnough(askedAtMs)
    }
    return { clock, silence, unanswered }
  }

  it('is enough after ten seconds without any answer, and then after twice as long', () => {
    const { unanswered } = silent()
    const enough = Array.from({ length: 34 }, () => unanswered(5_000))
    const at = enough.flatMap((isEnough, index) => (isEnough ? [(index + 1) * 5] : []))
    expect(at).toEqual([10, 30, 70, 150])
  })

  it('is none while nobody asks, and ends with any answer', () => {
    const { clock, silence, unanswered } = silent()
    clock.advance(60_000)
    expect(unanswered(5_000)).toBe(false)
    silence.end()
    expect([unanswered(5_000), unanswered(4_999)]).toEqual([false, false])
    expect(unanswered(1)).toBe(true)
    silence.end()
    expect([unanswered(5_000), unanswered(5_000)]).toEqual([false, true])
  })

  it('does not count from before the last answer', () => {
    const { clock, silence } = silent()
    const askedAtMs = silence.nowMs
    clock.advance(9_000)
    silence.end()
    clock.advance(9_000)
    expect(silence.isEnough(askedAtMs)).toBe(false)
  })
})

describe('a connection on which streams do not answer', () => {
  /** What a server says of JetStream as a whole: an answer, or none in time. */
  const scene = (account?: object, serverInfo: object = { cluster: 'C' }) => {
    const clock = new VirtualClock()
    const asked: string[] = []
    let left = 0
    const connection = {
      isConnected: true,
      silence: new Silence(clock),
      nats: { info: serverInfo },
      leaveServer: () => void left++,
      request: async (subject: string, _: unknown, { timeout }: { timeout: number }) => {
        asked.push(subject)
        clock.advance(timeout)
        if (subject !== '$JS.API.INFO' || !account) throw new Error('no answer')
        return { data: Buffer.from(JSON.stringify(account)) }
      },
    }
    const ask = async (times: number) => {
      for (let time = 0; time < times; time++) {
        const asking = askApi(connection as unknown as Connection, 'STREAM.INFO.x', {}, 5_000)
        await expect(asking).rejects.toThrow('no answer')
      }
      await new Promise<void>((resolve) => setImmediate(resolve))
      return { left, looks: asked.filter((subject) => subject === '$JS.API.INFO').length }
    }
    return { connection, ask }
  }
  const NO_LEADER = { error: { code: 503, err_code: 10008, description: 'unavailable' } }

  it('leaves its server when that hears nothing of JetStream, but not before it is long', async () => {
    const { ask } = scene()
    expect(await ask(1)).toEqual({ left: 0, looks: 0 })
    expect(await ask(1)).toEqual({ left: 1, looks: 1 })
  })

  it('leaves a server that knows no leader of JetStream', async () => {
    expect(await scene(NO_LEADER).ask(2)).toEqual({ left: 1, looks: 1 })
  })

  it('stays where JetStream answers, or refuses, and looks again later', async () => {
    const off = { error: { code: 503, err_code: 10039, description: 'not for this account' } }
    for (const account of [{ limits: {} }, off]) {
      expect(await scene(account).ask(4)).toEqual({ left: 0, looks: 2 })
    }
  })

  it('stays where there is no other server, and where the connection is lost anyway', async () => {
    expect(await scene(undefined, {}).ask(4)).toEqual({ left: 0, looks: 0 })
    const { connection, ask } = scene()
    connection.isConnected = false
    expect(await ask(4)).toEqual({ left: 0, looks: 0 })
  })
})
