/*
 * The slot journal of one shard, as nodes and JetStream play it against each other.
 *
 * Decides: whether the rules of the protocol (slots, claims, unknown outcomes, tails and re-fill,
 * handoff, checkpoints, removal) keep the promises P1, P2 and P7, and which of these rules cannot be
 * taken away. Leaves to others: sizes, switches and judgement of the runs (run.ts), and what the
 * model leaves out on purpose (README.md).
 *
 * Sizes:     NODES, SLOTS, CRASHES, LOSSES, IDS_PER_NODE, NEWER
 * Parts:     HANDOFF (an owner may write `Release`), REMOVAL (checkpoints and removal of slots)
 * Mutants:   every other name in capitals below takes one rule away; run.ts has the list
 * Witnesses: WITNESS_… makes a state that must be reachable an assertion
 *
 * How it is written: every option of the two processes is one d_step, so a freeze between a look and
 * a write is what the scheduler does between two options. What a node knows lies in global arrays.
 */

#ifndef NODES
#define NODES 2
#endif
#ifndef SLOTS
#define SLOTS 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
/* Records that exist at once and were written by one node. */
#ifndef IDS_PER_NODE
#define IDS_PER_NODE 10
#endif
/* Slots that must be newer than a removed one (1,024 in the product). */
#ifndef NEWER
#define NEWER 1
#endif

#define IDS (NODES * IDS_PER_NODE)
#define ALL ((1 << NODES) - 1)
#define x _pid

/* ---- Records: an id stands for the bytes, so equal hashes are equal ids. 0 is what stands before
   slot 1. The writer of a record is a matter of its id: every node numbers its own. ---- */
#define CLAIM_KIND 1
#define BATCH_KIND 2
#define RELEASE_KIND 3
byte rm[IDS + 1];    /* kind, server id and slot; 0: no such record */
byte rprev[IDS + 1]; /* the record before it */
#define KIND(r) (rm[r] & 3)
#define SERVER(r) ((rm[r] >> 2) & 3)
#define SLOT(r) (rm[r] >> 4)
#define BIT(r) (1 << ((r) - 1))

/* ---- The stream. Its sequence of slot n is n. ---- */
byte j[SLOTS + 1];
byte last;
byte sid; /* changes when the stream may have lost its end */
#ifdef REMOVAL
byte first = 1;
byte ck[2];       /* the highest checkpoint and the one before: the newest record each holds */
bit ckOld[2];     /* older than the retention, hence synced as well */
byte writing[NODES]; /* a checkpoint that is being written */
#else
#define first 1
#endif
/* A write that its sender no longer waits for, or not yet: it lands later, or never. */
byte late[NODES];

/* ---- The store of a node: what it shows, and what is on disk. One environment: a flush takes all. ---- */
#define T(n, s) ((n) * (SLOTS + 1) + (s))
byte t[NODES * (SLOTS + 1)];
byte td[NODES * (SLOTS + 1)];
byte ap[NODES]; /* the newest record applied */
byte apd[NODES];
int h[NODES]; /* all records applied, a bit each */
int hd[NODES];
bit dirty[NODES];

/* ---- The process of a node. ---- */
#define DOWN 0
#define IDLE 1  /* follows the journal */
#define ASK 2   /* takes: asks members for their tails */
#define CLAIM 3 /* takes: writes again what was lost, then its claim */
#define KEEP 4  /* its claim has won; the store flushes */
#define OWN 5
#define WRITE 6 /* a batch is under way */
#define FENCED 7 /* the row of its batch is deleted; that is not on disk yet */
byte phase[NODES] = IDLE;
byte conn[NODES]; /* the server that its connection leads to */
byte head[NODES]; /* the record it writes behind */
byte pend[NODES]; /* the record it writes */
bit won[NODES];   /* its slot is acknowledged */
byte best[NODES]; /* of the chains seen so far, the end of the one to be written again */
byte asked[NODES];
#ifdef UNION_OF_TAILS
int got[NODES]; /* the records that members handed over */
#endif

byte crashes = CRASHES;
byte losses = LOSSES;

/* ---- What was promised. ---- */
byte com[SLOTS + 1]; /* what an owner took for committed */
int acked;           /* batches whose replies were released */
int denied;          /* batches that their owner has reported as not done */
bit keepsP1 = 1;
bit keepsP2 = 1;
bit keepsP7 = 1;
bit staysDenied = 1;
bit idsSuffice = 1;
bit unreachable = 1;
#define judge(promise) assert(promise)

/* For the parts in which flushes play no role: a store is on disk as soon as it changes. */
#ifdef FLUSH_AT_ONCE
#define SETTLE if :: x < NODES && dirty[x] -> flush(x) :: else fi
#else
#define SETTLE skip
#endif
#ifdef NO_LATE_WRITES
#define MAY_BE_LATE false
#else
#define MAY_BE_LATE (late[x] == 0)
#endif

/* The last statement of every option: a d_step may not end with a loop. With TRACE a counterexample
   that `spin -t -DTRACE` plays shows one line per option: who, server, journal, then each node. */
#ifdef TRACE
#define ROW(n) \
  printf(" | n%d ph%d ap%d/%d head%d pend%d won%d best%d late%d conn%d t[%d %d %d] d[%d %d %d]", n, \
    phase[n], ap[n], apd[n], head[n], pend[n], won[n], best[n], late[n], conn[n], \
    t[T(n, 1)], t[T(n, 2)], t[T(n, 3)], td[T(n, 1)], td[T(n, 2)], td[T(n, 3)])
#define DONE \
  printf("#%d server%d first%d journal[%d %d %d]%d", x, sid, first, j[1], j[2], j[3], last); \
  ROW(0); ROW(1); printf(" acked%d\n", acked); \
  SETTLE; collect(); skip
#else
#define DONE SETTLE; collect(); skip
#endif

/* Scratch; never part of a state. */
hidden byte i, k, q, r, w, e1, e2;
hidden int m;
hidden byte ok;

#ifdef WITNESS_REFILL
bit refilled;
#endif
#ifdef WITNESS_HANDOFF
bit handed;
#endif

/* ---- The mutants that are an expression. ---- */
#ifdef NO_CREATE_ONLY
#define CREATE_ONLY(rec) true
#else
#define CREATE_ONLY(rec) (j[SLOT(rec)] == 0)
#endif
#ifdef NO_SEQUENCE_CONDITION
#define SEQUENCE(rec) true
#else
#define SEQUENCE(rec) (last == SLOT(rec) - 1)
#endif
#ifdef NO_CONNECTION_RULE
#define CONNECTED true
#else
#define CONNECTED (conn[x] == sid)
#endif
#ifdef JUDGE_BY_WRITER
#define OURS(found, rec) ((found) == (rec) || ((found) > 0 && ((found) - 1) / IDS_PER_NODE == x && KIND(found) == KIND(rec)))
#else
#define OURS(found, rec) ((found) == (rec))
#endif
/* A node knows its own rows; of others it gets what they have flushed. */
#define HANDED(n, from, s) ((n) == (from) -> t[T(from, s)] : td[T(from, s)])
#ifdef SERVE_BEFORE_FLUSH
#define KEPT(n) true
#else
#define KEPT(n) (!dirty[n])
#endif
#ifdef REPLY_BEFORE_SLOT
#define SLOT_KNOWN(n) true
#else
#define SLOT_KNOWN(n) (won[n])
#endif
#ifdef DENY_BEFORE_FLUSH
#define DELETED(n) true
#else
#define DELETED(n) (!dirty[n])
#endif
#define TAIL_FLUSHED(n) (td[T(n, SLOT(pend[n]))] == pend[n])
#ifdef REPLY_BEFORE_FLUSH
#define TAIL_KNOWN(n) true
#else
#define TAIL_KNOWN(n) TAIL_FLUSHED(n)
#endif
#ifdef CHECKPOINT_UNCHECKED
#define ON_CHAIN(n) true
#else
#define ON_CHAIN(n) (SLOT(ap[n]) <= last && j[SLOT(ap[n])] == ap[n])
#endif
/* The two highest are kept here: a third removes the lowest, which has to wait for their age. */
#ifdef DROP_CHECKPOINT_EARLY
#define ROOM true
#else
#define ROOM (ck[1] == 0 || ckOld[0])
#endif
#ifdef PURGE_WITHOUT_CHECKPOINT
#define REMOVABLE true
#else
#ifdef PURGE_BEHIND_NEWEST
#define REMOVABLE (ck[0] != 0 && first <= SLOT(ck[0]))
#else
#ifdef PURGE_BEFORE_RETENTION
#define REMOVABLE (ck[1] != 0 && first <= SLOT(ck[1]))
#else
#define REMOVABLE (ck[1] != 0 && first <= SLOT(ck[1]) && ckOld[0])
#endif
#endif
#endif
#define LANDS(rec) (CREATE_ONLY(rec) && SEQUENCE(rec))

/* `q` becomes the record at slot `slot` of the chain that ends with `rec`. */
inline ancestor(rec, slot) {
  q = rec;
  do
  :: SLOT(q) > slot -> q = rprev[q]
  :: else -> break
  od
}

/* `out` becomes the slot of the claim that `rec` was written under: its epoch. */
inline epochOf(rec, out) {
  w = rec;
  do
  :: w != 0 && KIND(w) != CLAIM_KIND -> w = rprev[w]
  :: else -> break
  od;
  out = SLOT(w)
}

/* `m` becomes the records of the chain that ends with `rec`. */
inline chainMask(rec) {
  m = 0;
  w = rec;
  do
  :: w != 0 -> m = m | BIT(w); w = rprev[w]
  :: else -> break
  od
}

/* Forgets records that nothing refers to, so that states that differ in nothing else are one. */
inline collect() {
  m = acked | denied;
  k = 1;
  do
  :: k <= SLOTS ->
     if :: j[k] -> m = m | BIT(j[k]) :: else fi;
     if :: com[k] -> m = m | BIT(com[k]) :: else fi;
     k++
  :: else -> break
  od;
  i = 0;
  do
  :: i < NODES ->
     m = m | h[i] | hd[i];
     if :: ap[i] -> m = m | BIT(ap[i]) :: else fi;
     if :: apd[i] -> m = m | BIT(apd[i]) :: else fi;
     if :: late[i] -> m = m | BIT(late[i]) :: else fi;
     if :: head[i] -> m = m | BIT(head[i]) :: else fi;
     if :: pend[i] -> m = m | BIT(pend[i]) :: else fi;
     if :: best[i] -> m = m | BIT(best[i]) :: else fi;
#ifdef UNION_OF_TAILS
     m = m | got[i];
#endif
#ifdef REMOVAL
     if :: writing[i] -> m = m | BIT(writing[i]) :: else fi;
#endif
     k = 1;
     do
     :: k <= SLOTS ->
        if :: t[T(i, k)] -> m = m | BIT(t[T(i, k)]) :: else fi;
        if :: td[T(i, k)] -> m = m | BIT(td[T(i, k)]) :: else fi;
        k++
     :: else -> break
     od;
     i++
  :: else -> break
  od;
#ifdef REMOVAL
  if :: ck[0] -> m = m | BIT(ck[0]) :: else fi;
  if :: ck[1] -> m = m | BIT(ck[1]) :: else fi;
#endif
  /* What a record that is needed stands on is needed too; a chain is at most SLOTS long. */
  i = 1;
  do
  :: i < SLOTS ->
     k = 1;
     do
     :: k <= IDS ->
        if :: (m & BIT(k)) && rprev[k] -> m = m | BIT(rprev[k]) :: else fi;
        k++
     :: else -> break
     od;
     i++
  :: else -> break
  od;
  k = 1;
  do
  :: k <= IDS ->
     if :: !(m & BIT(k)) -> rm[k] = 0; rprev[k] = 0 :: else fi;
     k++
  :: else -> break
  od
}

/* `out` becomes a new record of node `n` behind `prev`. */
inline create(n, kind, prev, out) {
  k = n * IDS_PER_NODE + 1;
  do
  :: k <= (n + 1) * IDS_PER_NODE && rm[k] != 0 -> k++
  :: else -> break
  od;
  idsSuffice = (k <= (n + 1) * IDS_PER_NODE);
  assert(idsSuffice);
  rm[k] = kind | (conn[n] << 2) | ((SLOT(prev) + 1) << 4);
  rprev[k] = prev;
  out = k
}

/* The server takes a write. An acknowledged slot never changes its meaning. */
inline land(rec) {
  keepsP1 = (com[SLOT(rec)] == 0 || com[SLOT(rec)] == rec);
  judge(keepsP1);
  staysDenied = !(denied & BIT(rec));
  judge(staysDenied);
  j[SLOT(rec)] = rec;
  if :: SLOT(rec) > last -> last = SLOT(rec) :: else fi;
  i = 0;
  do
  :: i < NODES ->
     if :: late[i] && !LANDS(late[i]) && SLOT(late[i]) <= last -> late[i] = 0 :: else fi;
     i++
  :: else -> break
  od
}

inline flush(n) {
  k = 1;
  do
  :: k <= SLOTS -> td[T(n, k)] = t[T(n, k)]; k++
  :: else -> break
  od;
  apd[n] = ap[n];
  hd[n] = h[n];
  dirty[n] = 0
}

/* Nothing is under way any more. What the store shows stays. */
inline forget(n) {
  head[n] = 0;
  pend[n] = 0;
  best[n] = 0;
  asked[n] = 0;
  conn[n] = 0;
  won[n] = 0;
#ifdef UNION_OF_TAILS
  got[n] = 0;
#endif
}

inline letGo(n) {
  phase[n] = IDLE;
  forget(n)
}

inline clearFrom(n, slot) {
  k = slot;
  do
  :: k <= SLOTS ->
     if :: t[T(n, k)] -> t[T(n, k)] = 0; dirty[n] = 1 :: else fi;
     k++
  :: else -> break
  od
}

#ifdef REMOVAL
inline clearTo(n, slot) {
  k = 1;
  do
  :: k <= slot ->
     if :: t[T(n, k)] -> t[T(n, k)] = 0; dirty[n] = 1 :: else fi;
     k++
  :: else -> break
  od
}
#endif

/* `ok`: what the store has applied is on the chain of the journal, as far as that can be compared. */
inline compareApplied(n) {
  k = (SLOT(ap[n]) < last -> SLOT(ap[n]) : last);
  ancestor(ap[n], k);
  ok = (k < first -> (first > last || k < first - 1 || k == 0 || rprev[j[first]] == q) : j[k] == q)
}

/* `ok`: the journal holds one chain from what was applied to its end. */
inline compareChain(n) {
  compareApplied(n);
#ifdef NO_APPLIED_HASH_CHECK
  ok = 1;
#endif
  k = last;
  do
  :: ok && k > first && k > SLOT(ap[n]) + 1 ->
     ok = (j[k] != 0 && rprev[j[k]] == j[k - 1] && j[k - 1] != 0);
     k--
  :: else -> break
  od
#ifdef REMOVAL
#ifndef READER_IGNORES_GAP
  ok = ok && (SLOT(ap[n]) + 1 >= first);
#endif
  /* An emptied journal: nobody can say what its end was. */
  ok = ok && (first == 1 || last >= first);
#endif
}

/* Whether `q` is to be preferred to best[n]: the highest (epoch, slot). */
inline prefer(n) {
  if
  :: q != head[n] ->
#ifdef WRONG_CHAIN_CHOICE
     ok = (best[n] == 0 || SLOT(q) > SLOT(best[n]));
#else
     epochOf(q, e1);
     epochOf(best[n], e2);
     ok = (best[n] == 0 || e1 > e2 || (e1 == e2 && SLOT(q) > SLOT(best[n])));
#endif
     if :: ok -> best[n] = q :: else fi
  :: else
  fi
}

/* What node `from` hands over to node `n`: its flushed rows, as far as they join the journal's end. */
inline consider(n, from) {
#ifdef UNION_OF_TAILS
  k = 1;
  do
  :: k <= SLOTS ->
     if :: HANDED(n, from, k) -> got[n] = got[n] | BIT(HANDED(n, from, k)) :: else fi;
     k++
  :: else -> break
  od
#else
  q = head[n];
  k = SLOT(head[n]) + 1;
  do
  :: k <= SLOTS && HANDED(n, from, k) != 0 &&
#ifdef REFILL_WITHOUT_PREV
     SLOT(HANDED(n, from, k)) == k ->
#else
     rprev[HANDED(n, from, k)] == q ->
#endif
     q = HANDED(n, from, k); k++
  :: else -> break
  od;
  prefer(n)
#endif
}

/* All were asked. With the union of tails: of all records that join the end through others. */
inline choose(n) {
#ifdef UNION_OF_TAILS
  r = 1;
  do
  :: r <= IDS ->
     if
     :: (got[n] & BIT(r)) && SLOT(r) > SLOT(head[n]) ->
        q = r;
        do
        :: SLOT(q) > SLOT(head[n]) && (got[n] & BIT(q)) -> q = rprev[q]
        :: else -> break
        od;
        if
        :: q == head[n] -> q = r; prefer(n)
        :: else
        fi
     :: else
     fi;
     r++
  :: else -> break
  od;
  got[n] = 0;
#endif
  asked[n] = 0;
  phase[n] = CLAIM;
  proceed(n)
}

/* The next record of a taker: oldest first what was lost, then the claim. */
inline proceed(n) {
  if
  :: SLOT(head[n]) < SLOT(best[n]) ->
     ancestor(best[n], SLOT(head[n]) + 1);
     pend[n] = q
  :: else ->
     best[n] = 0;
     if
     :: SLOT(head[n]) >= SLOTS -> letGo(n)
     :: else ->
        create(n, CLAIM_KIND, head[n], pend[n]);
#ifdef EARLY_CLAIM_IN_TAIL
        t[T(n, SLOT(pend[n]))] = pend[n];
        dirty[n] = 1
#endif
     fi
  fi
}

/* The journal holds the record that the node was writing. */
inline acknowledged(n) {
  if
  :: phase[n] == WRITE -> won[n] = 1
  :: phase[n] == CLAIM && best[n] != 0 ->
#ifdef WITNESS_REFILL
     refilled = 1;
#endif
     head[n] = pend[n];
     proceed(n)
  :: phase[n] == CLAIM && best[n] == 0 -> keep(n)
  :: else
  fi
}

/* A claim that won makes all before it final: what was read is kept and applied. */
inline keep(n) {
  q = pend[n];
  clearFrom(n, SLOT(q) + 1);
  do
  :: SLOT(q) > SLOT(ap[n]) ->
#ifdef CLAIM_NOT_IN_TAIL
     t[T(n, SLOT(q))] = (q == pend[n] -> 0 : q);
#else
     t[T(n, SLOT(q))] = q;
#endif
     h[n] = h[n] | BIT(q);
     q = rprev[q]
  :: else -> break
  od;
  ap[n] = pend[n];
  head[n] = pend[n];
  dirty[n] = 1;
  phase[n] = KEEP
}

/* Another record stands in the slot of ours, for ever. */
inline fenced(n) {
  if
  :: phase[n] == WRITE ->
#ifndef FENCED_KEEPS_TAIL
     clearFrom(n, SLOT(pend[n]));
#endif
     q = pend[n];
     forget(n);
     pend[n] = q;
     phase[n] = FENCED
  :: else -> letGo(n)
  fi
}

/* The batch of an owner is reported as not done. */
inline deny(rec) {
  if :: KIND(rec) == BATCH_KIND -> denied = denied | BIT(rec) :: else fi
}

/* Whoever answers a read knows everything that was acknowledged. */
inline serves(n) {
  keepsP7 = ((acked & ~h[n]) == 0);
  judge(keepsP7);
  staysDenied = ((denied & h[n]) == 0);
  judge(staysDenied)
}

inline commit(n) {
#ifndef P2_NOT_JUDGED
  keepsP2 = (won[n] && TAIL_FLUSHED(n));
  judge(keepsP2);
#endif
  keepsP1 = (com[SLOT(pend[n])] == 0 || com[SLOT(pend[n])] == pend[n]);
  judge(keepsP1);
  com[SLOT(pend[n])] = pend[n];
  ap[n] = pend[n];
  h[n] = h[n] | BIT(pend[n]);
  acked = acked | BIT(pend[n]);
  /* A reply speaks of its own slot, be the owner deposed by now: what it judged on lies before. */
  k = 1;
  do
  :: k < SLOT(pend[n]) ->
     keepsP7 = (com[k] == 0 || !(acked & BIT(com[k])) || (h[n] & BIT(com[k])));
     judge(keepsP7);
     k++
  :: else -> break
  od;
  dirty[n] = 1;
  head[n] = pend[n];
  pend[n] = 0;
  won[n] = 0;
  if
  :: KIND(head[n]) == RELEASE_KIND -> letGo(n)
  :: else -> phase[n] = OWN
  fi
}

/* The end of the journal and, of a write under way, its slot are shown to whoever owns or takes. */
inline look(n) {
  if
#ifndef NO_CONNECTION_RULE
  :: conn[n] != sid ->
#ifdef GO_ON_AFTER_NEW_SERVER
     if
     :: phase[n] >= OWN && last == SLOT(head[n]) && j[last] == head[n] -> conn[n] = sid
     :: phase[n] == WRITE && j[SLOT(pend[n])] == pend[n] -> conn[n] = sid; won[n] = 1
     :: else -> letGo(n)
     fi
#else
     /* Others may have lost more than we did: the shard is taken anew, and that asks them. */
     letGo(n)
#endif
  :: conn[n] == sid && pend[n] == 0 ->
#else
  :: pend[n] == 0 ->
#endif
     if :: last > SLOT(head[n]) -> letGo(n) :: else fi
  :: else ->
     k = SLOT(pend[n]);
     if
     :: OURS(j[k], pend[n]) -> acknowledged(n)
#ifdef GONE_IS_FENCED
     :: !OURS(j[k], pend[n]) && last >= k -> fenced(n)
#else
     :: !OURS(j[k], pend[n]) && j[k] != 0 -> fenced(n)
     /* It has come and gone: nobody can say whose it was. */
     :: j[k] == 0 && last >= k -> letGo(n)
#endif
     :: else
     fi
  fi
}

/* Whether JetStream may have lost something: every member has to be asked. */
inline mayBeShort(n) {
  q = j[last];
#ifndef RELEASE_HIDES_SERVER_ID
  do
  :: q != 0 && KIND(q) == RELEASE_KIND -> q = rprev[q]
  :: else -> break
  od;
  ok = (q == 0 || SERVER(q) != sid || SLOT(ap[n]) > last)
#else
  ok = (q == 0 || (KIND(q) != RELEASE_KIND && SERVER(q) != sid) || SLOT(ap[n]) > last)
#endif
#ifdef NO_SERVER_ID_CHECK
  ok = (last == 0 || SLOT(ap[n]) > last)
#endif
}

#ifdef REMOVAL
/* What a new node needs: a checkpoint that joins the slots that are left, with all that was removed. */
inline judgeRemoved() {
  keepsP7 = (first == 1);
  i = 0;
  do
  :: i < 2 ->
     if
     :: !keepsP7 && ck[i] && SLOT(ck[i]) >= first - 1 ->
        q = ck[i];
        ok = (SLOT(q) > last || (SLOT(q) >= first && j[SLOT(q)] == q) ||
              (SLOT(q) == first - 1 && (first > last || rprev[j[first]] == q)));
        chainMask(q);
        k = 1;
        do
        :: k < first ->
           if :: com[k] && (acked & BIT(com[k])) && !(m & BIT(com[k])) -> ok = 0 :: else fi;
           k++
        :: else -> break
        od;
        keepsP7 = ok
     :: else
     fi;
     i++
  :: else -> break
  od;
  judge(keepsP7)
}
#endif

/* A follower applies the next slot. */
inline follow(n) {
  compareApplied(n);
  k = SLOT(ap[n]) + 1;
#ifdef REMOVAL
#ifdef READER_IGNORES_GAP
  if :: k < first -> k = first; ok = 1; q = rprev[j[first]] :: else -> q = ap[n] fi;
#else
  ok = ok && k >= first;
  q = ap[n];
#endif
#else
  q = ap[n];
#endif
#ifdef NO_APPLIED_HASH_CHECK
  ok = 1; q = rprev[j[k]];
#endif
  if
  :: ok && k <= last && j[k] != 0 && rprev[j[k]] == q ->
#ifndef FOLLOWED_NOT_IN_TAIL
     t[T(n, k)] = j[k];
#endif
     ap[n] = j[k];
     h[n] = h[n] | BIT(j[k]);
     dirty[n] = 1
  :: else
  fi
}

/* The store is off the chain: it is thrown away, but not the raw records that the journal holds. */
inline discard(n) {
  compareApplied(n);
  if
  :: !ok ->
     k = 1;
     do
     :: k <= SLOTS ->
#ifdef DISCARD_WITH_TAIL
        t[T(n, k)] = 0;
#else
        if :: k <= SLOT(ap[n]) && t[T(n, k)] != j[k] -> t[T(n, k)] = 0 :: else fi;
#endif
        k++
     :: else -> break
     od;
     ap[n] = 0;
     h[n] = 0;
     dirty[n] = 1
  :: else
  fi
}

active [NODES] proctype Node() {
  do
  /* ---- Start, flush, crash. ---- */
  :: d_step {
       phase[x] == DOWN ->
       phase[x] = IDLE;
#ifdef APPLY_TAIL_WITHOUT_JOURNAL
       k = SLOT(ap[x]) + 1;
       do
       :: k <= SLOTS && t[T(x, k)] != 0 && rprev[t[T(x, k)]] == ap[x] ->
          ap[x] = t[T(x, k)]; h[x] = h[x] | BIT(ap[x]); dirty[x] = 1; k++
       :: else -> break
       od
#endif
       ;       DONE
     }
  :: d_step { phase[x] != DOWN && dirty[x] -> flush(x); DONE }
  :: d_step {
       phase[x] != DOWN && crashes > 0 ->
       crashes--;
       k = 1;
       do
       :: k <= SLOTS -> t[T(x, k)] = td[T(x, k)]; k++
       :: else -> break
       od;
       ap[x] = apd[x];
       h[x] = hd[x];
       dirty[x] = 0;
#ifdef REMOVAL
       writing[x] = 0;
#endif
       forget(x);
       phase[x] = DOWN;
       DONE
     }

  /* ---- Following. ---- */
  :: d_step { phase[x] == IDLE && SLOT(ap[x]) < last -> follow(x); DONE }
#ifndef NO_APPLIED_HASH_CHECK
  :: d_step { phase[x] == IDLE && ap[x] != 0 && last > 0 -> discard(x); DONE }
#endif

  /* ---- Taking. ---- */
  :: d_step {
       phase[x] == IDLE && (last < SLOTS) ->
       compareChain(x);
       if
       :: ok ->
          conn[x] = sid;
          head[x] = j[last];
          mayBeShort(x);
          if
          :: ok ->
             phase[x] = ASK;
             consider(x, x);
#ifdef NO_WAIT_FOR_ALL_MEMBERS
             asked[x] = ALL;
#else
             asked[x] = 1 << x;
#endif
             if :: asked[x] == ALL -> choose(x) :: else fi
          :: else -> phase[x] = CLAIM; proceed(x)
          fi
       :: else
       fi;
       DONE
     }
#define ASK_NODE(y) \
  :: d_step { \
       phase[x] == ASK && y != x && !(asked[x] & (1 << y)) && phase[y] != DOWN -> \
       LET_GO(y); \
       consider(x, y); \
       asked[x] = asked[x] | (1 << y); \
       if :: asked[x] == ALL -> choose(x) :: else fi; \
       DONE \
     }
#ifdef NO_LETTING_GO
#define LET_GO(y) skip
#else
#ifdef ANSWER_BEFORE_FLUSH
#define LET_GO(y) if :: phase[y] > IDLE -> letGo(y) :: else fi
#else
/* What its store was told to write cannot be taken back: it is flushed first, and all handed over. */
#define LET_GO(y) \
  if :: phase[y] > IDLE -> letGo(y) :: else fi; \
  if :: dirty[y] -> flush(y) :: else fi
#endif
#endif
  ASK_NODE(0)
  ASK_NODE(1)
#if NODES > 2
  ASK_NODE(2)
#endif

  /* ---- Writing a slot: it lands and is acknowledged, or it is under way and may land later. A
     refusal tells nothing that a look does not tell. ---- */
  :: d_step {
       phase[x] != FENCED && phase[x] != KEEP && pend[x] != 0 && !won[x] && CONNECTED && LANDS(pend[x]) ->
       land(pend[x]);
       acknowledged(x);
       DONE
     }
  :: d_step {
       phase[x] != FENCED && phase[x] != KEEP && pend[x] != 0 && !won[x] && CONNECTED && MAY_BE_LATE && LANDS(pend[x]) ->
       late[x] = pend[x];
       DONE
     }
  :: d_step { late[x] != 0 && LANDS(late[x]) -> r = late[x]; late[x] = 0; land(r); DONE }
  :: d_step { (phase[x] == CLAIM || phase[x] == WRITE) && !won[x] -> look(x); DONE }
#ifdef DROP_ON_UNKNOWN
  :: d_step {
       phase[x] == WRITE && !won[x] && late[x] == pend[x] ->
       deny(pend[x]);
       create(x, BATCH_KIND, head[x], pend[x]);
       t[T(x, SLOT(pend[x]))] = pend[x];
       dirty[x] = 1;
       DONE
     }
#endif
  :: d_step { phase[x] == FENCED && DELETED(x) -> deny(pend[x]); letGo(x); DONE }

  /* ---- Owning. ---- */
  :: d_step {
       phase[x] == KEEP && KEPT(x) ->
       keepsP1 = (com[SLOT(pend[x])] == 0 || com[SLOT(pend[x])] == pend[x]);
       judge(keepsP1);
       com[SLOT(pend[x])] = pend[x];
       pend[x] = 0;
       phase[x] = OWN;
#ifdef WITNESS_REFILL
       unreachable = !(refilled && acked);
       assert(unreachable);
#endif
#ifdef WITNESS_HANDOFF
       unreachable = !(handed && acked && KIND(rprev[ap[x]]) == RELEASE_KIND && (rprev[ap[x]] - 1) / IDS_PER_NODE != x);
       assert(unreachable);
#endif
       ;       DONE
     }
  :: d_step {
       phase[x] == OWN && SLOT(head[x]) < SLOTS ->
       create(x, BATCH_KIND, head[x], pend[x]);
       t[T(x, SLOT(pend[x]))] = pend[x];
       dirty[x] = 1;
       phase[x] = WRITE;
       DONE
     }
#ifdef HANDOFF
  :: d_step {
       phase[x] == OWN && SLOT(head[x]) < SLOTS ->
       create(x, RELEASE_KIND, head[x], pend[x]);
       t[T(x, SLOT(pend[x]))] = pend[x];
       dirty[x] = 1;
       phase[x] = WRITE
#ifdef WITNESS_HANDOFF
       ; handed = 1
#endif
       ;       DONE
     }
#endif
  :: d_step {
       phase[x] == WRITE && SLOT_KNOWN(x) && TAIL_KNOWN(x) -> commit(x);
       DONE
     }
  /* A read is confirmed by the end of the journal; the connection rule asks for the same look. */
  :: d_step {
       phase[x] == OWN ->
       if
       :: CONNECTED && last == SLOT(head[x]) -> serves(x)
       :: else -> look(x)
       fi;
       DONE
     }

#ifdef REMOVAL
  /* ---- Checkpoints: a snapshot that is compared with the journal, then a key that records it. ---- */
  :: d_step {
       (phase[x] == IDLE || phase[x] == OWN) && writing[x] == 0 && SLOT(ap[x]) > SLOT(ck[0]) &&
       SLOT(ap[x]) >= first && ON_CHAIN(x) && ROOM ->
       writing[x] = ap[x];
#ifdef CHECKPOINT_AT_ONCE
       ckOld[1] = ckOld[0];
       ck[1] = ck[0];
       ckOld[0] = 0;
       ck[0] = ap[x];
       writing[x] = 0;
#ifdef DROP_TAIL_AT_CHECKPOINT
       clearTo(x, SLOT(ck[0]));
#endif
#endif
       DONE
     }
  :: d_step {
       phase[x] != DOWN && writing[x] != 0 ->
       if
       :: SLOT(writing[x]) > SLOT(ck[0]) && ROOM ->
          ck[1] = ck[0];
          ckOld[1] = ckOld[0];
          ck[0] = writing[x];
          ckOld[0] = 0;
#ifdef DROP_TAIL_AT_CHECKPOINT
          clearTo(x, SLOT(ck[0]))
#endif
       :: else
       fi;
       writing[x] = 0;
       collect();
       DONE
     }
  /* ---- Raw records go with their slots. ---- */
  :: d_step {
       phase[x] != DOWN && first > 1 && t[T(x, first - 1)] != 0 ->
       clearTo(x, first - 1);
       DONE
     }
#ifndef READER_IGNORES_GAP
  /* ---- A reader that meets a removed slot starts again from the newest checkpoint that fits. ---- */
  :: d_step {
       phase[x] == IDLE && SLOT(ap[x]) + 1 < first ->
       q = ck[0];
       ok = (SLOT(q) > last || (SLOT(q) >= first && j[SLOT(q)] == q) ||
             (SLOT(q) == first - 1 && (first > last || rprev[j[first]] == q)));
       if :: !ok -> q = ck[1] :: else fi;
       if
       :: q != 0 && SLOT(q) + 1 >= first ->
          ap[x] = q;
          r = q;
          chainMask(r);
          h[x] = m;
          dirty[x] = 1
       :: else
       fi;
       DONE
     }
#endif
#endif
  od
}

/* ---- JetStream: it acknowledges before it syncs, so with its process its end can be gone. ---- */
active proctype Server() {
  do
#define LOSE(n) \
  :: d_step { \
       losses > 0 && last >= n && n + 1 >= first -> \
       losses--; \
       sid++; \
       k = n + 1; \
       do \
       :: k <= last -> j[k] = 0; k++ \
       :: else -> break \
       od; \
       last = n; \
       DROP_LATE; \
       DONE \
     }
#ifdef NO_CONNECTION_RULE
/* A client that connects again by itself sends again what it had not been told about. */
#define DROP_LATE skip
#else
#define DROP_LATE i = 0; do :: i < NODES -> late[i] = 0; i++ :: else -> break od
#endif
  LOSE(0)
  LOSE(1)
  LOSE(2)
#if SLOTS > 3
  LOSE(3)
#endif
#if SLOTS > 4
  LOSE(4)
#endif
#if SLOTS > 5
  LOSE(5)
#endif
  LOSE(SLOTS)

#ifdef REMOVAL
  :: d_step { ck[0] != 0 && !ckOld[0] -> ckOld[0] = 1; ckOld[1] = (ck[1] != 0) }
  /* The object store and the keys are streams too: what is not synced goes with the process. */
  :: d_step {
       losses > 0 && last >= first && ck[0] != 0 && !ckOld[0] ->
       losses--;
       sid++;
       DROP_LATE;
       ck[0] = ck[1];
       ckOld[0] = ckOld[1];
       ck[1] = 0;
       ckOld[1] = 0;
       if :: ck[0] != 0 && !ckOld[0] -> ck[0] = 0 :: else fi;
       judgeRemoved();
       collect();
       DONE
     }
  :: d_step {
       first + NEWER <= last && REMOVABLE ->
       j[first] = 0;
       first++;
       judgeRemoved();
#ifdef WITNESS_REMOVED
       unreachable = 0;
       assert(unreachable);
#endif
       collect();
       DONE
     }
#endif
  od
}
