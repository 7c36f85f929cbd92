/**
 * How an app proves who it is: three forms of a token (README.md has examples).
 *
 * Decides: what is accepted. Times are those of the caller, at most `WINDOW_MS` from ours, and
 * digests are compared in constant time. Leaves to others: where the key comes from (`apps.ts`).
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { TroupeError } from '../../src/index.ts'

/** 180 s, either side. */
export const WINDOW_MS = 180_000

export interface TokenClaim {
  token: string
  /** As it was sent; undefined when it was not. */
  time: string | undefined
  name: string
  path: string
  /** All other fields as texts, for the form that covers them. */
  fields: Readonly<Record<string, string>>
}

/** The form of today's clients: unix seconds, then the digest. 42 characters. */
export function makeToken(appKey: string, nowMs: number): { token: string; time: string } {
  const time = String(Math.floor(nowMs / 1_000))
  return { token: time + md5(appKey + time), time }
}

/** The digest that covers all fields. */
export function makeSignature(appKey: string, claim: Omit<TokenClaim, 'token'>): string {
  const fields = Object.entries(claim.fields)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .sort()
    .join('&')
  const text = [claim.name, claim.time ?? '', claim.path, fields].join('\n')
  return createHmac('sha256', appKey).update(text).digest('hex')
}

/** @throws TroupeError `unauthorized` saying whether shape, time or digest is wrong */
export function checkToken(appKey: string, claim: TokenClaim, nowMs: number): void {
  const token = claim.token.toLowerCase()
  if (/^\d{10}[0-9a-f]{32}$/.test(token)) {
    const time = token.slice(0, 10)
    checkTime(time, nowMs)
    return checkDigest(token.slice(10), md5(appKey + time))
  }
  const isPlain = /^[0-9a-f]{32}$/.test(token)
  if (!isPlain && !/^[0-9a-f]{64}$/.test(token)) {
    throw refused(
      'Invalid appToken: it has 42, 32 or 64 characters of a kind; see machines/jobs/README.md',
    )
  }
  const { time = '' } = claim
  if (!/^(\d{10}|\d{13})$/.test(time)) {
    throw refused(
      'Invalid appToken: this form needs "time": unix seconds (10 digits) or milliseconds (13)',
    )
  }
  checkTime(time, nowMs)
  checkDigest(token, isPlain ? md5(appKey + time) : makeSignature(appKey, claim))
}

function checkTime(time: string, nowMs: number): void {
  const timeMs = time.length === 13 ? Number(time) : Number(time) * 1_000
  // Seconds say nothing of the rest of theirs.
  const isNear = Math.abs(nowMs - timeMs) <= WINDOW_MS
  if (!isNear)
    throw refused(
      `Expired appToken: its time is ${Math.round((nowMs - timeMs) / 1_000)} s from ours, at most 180 are allowed`,
    )
}

function checkDigest(given: string, wanted: string): void {
  if (!timingSafeEqual(Buffer.from(given), Buffer.from(wanted))) throw refused(WRONG)
}

/** The same for a wrong key and for an app that does not exist. */
export const WRONG = 'AppToken auth failed'

function refused(message: string): TroupeError {
  return new TroupeError('unauthorized', message)
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex')
}
