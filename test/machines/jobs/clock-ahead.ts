/**
 * Moves the wall clock of this process ahead, by as many milliseconds as its environment says: for what
 * happens after weeks. Imported first by the processes of these tests.
 */
const aheadMs = Number(process.env['TROUPE_TEST_AHEAD_MS'] ?? 0)
const now = Date.now.bind(Date)
Date.now = () => now() + aheadMs
