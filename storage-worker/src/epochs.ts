import type { Database, Sql } from '@parley/platform/ports/database'
import type { Log } from '@parley/platform/ports/log'
import { StartError } from '@parley/platform/process/start-error'
import { topics } from '@parley/proto/record-headers'

/**
 * [R15] Binds a log to a database. Each log is an epoch with a number; a database holds the events of its epochs one
 * after the other, and positions of different epochs compare by that number first.
 */

interface Epoch {
  number: number
  id: string
}

/**
 * The number of the log's epoch, at the start of every process that reads or writes positions. A database without
 * epochs takes this log for its first, which must then be empty. Rejects with `StartError`
 * when log and database don't belong together, and with `DatabaseUnavailable`.
 */
export async function claimEpoch(db: Database, log: Log): Promise<number> {
  const present = await db.transaction((sql) => lastEpoch(sql))
  if (present === undefined) return claimFirst(db, log)
  if (present.id !== log.epoch) throw await strange(db, log, present)
  await checkPartitions(db, log, present)
  return present.number
}

async function claimFirst(db: Database, log: Log): Promise<number> {
  return db.transaction(async (sql) => {
    await lockEpochs(sql)
    const present = await lastEpoch(sql)
    if (present?.id === log.epoch) return present.number
    if (present !== undefined) {
      throw new StartError(
        `another process has just begun this database with the log ${present.id}; this one's log is ${log.epoch}`,
      )
    }
    await refuseUsedLog(log)
    return addEpoch(sql, log, 1)
  })
}

/** What a log holds was once projected into a database with accounts, which no log can bring back. */
async function refuseUsedLog(log: Log): Promise<void> {
  for (const topic of [topics.events, topics.commands]) {
    for (let partition = 0; partition < log.partitions(topic); partition++) {
      const { next } = await log.range(topic, partition)
      if (next === 0) continue
      throw new StartError(
        'the database is empty, but the log holds records: restore the database that belongs to it, or, to have its conversations without their accounts, run `npm run new-epoch`',
      )
    }
  }
}

/**
 * The explicit command for a new log under an old database, given once the old log is projected to its end or known
 * to be lost: whatever of it was not projected is lost with it. All other processes must be stopped. Returns the
 * epoch's number; a log that is the present one already keeps its number.
 */
export async function beginEpoch(db: Database, log: Log): Promise<number> {
  await fromTheBeginning(log, 'this log is to begin an epoch')
  return db.transaction(async (sql) => {
    await lockEpochs(sql)
    const present = await lastEpoch(sql)
    if (present?.id === log.epoch) return present.number
    const [known] = await sql.query<Epoch>('select number, id from log_epochs where id = $1', [
      log.epoch,
    ])
    if (known !== undefined) {
      throw new StartError(
        `the log ${log.epoch} was epoch ${known.number} of this database and can't be begun again; start with a new log`,
      )
    }
    return addEpoch(sql, log, (present?.number ?? 0) + 1)
  })
}

async function lastEpoch(sql: Sql): Promise<Epoch | undefined> {
  const [last] = await sql.query<Epoch>(
    'select number, id from log_epochs order by number desc limit 1',
  )
  return last
}

async function lockEpochs(sql: Sql): Promise<void> {
  await sql.query('lock table log_epochs in share row exclusive mode')
}

/** The epoch and a checkpoint at its start for each partition of this log; those of the epoch before go. */
async function addEpoch(sql: Sql, log: Log, number: number): Promise<number> {
  await sql.query('insert into log_epochs (number, id) values ($1, $2)', [number, log.epoch])
  await sql.query('delete from partition_checkpoints')
  await sql.query(
    `insert into partition_checkpoints (partition, epoch, next_event, up_to_offset, up_to_index)
     select p, $1, 0, 0, 0 from generate_series(0, $2::int - 1) p`,
    [number, log.partitions(topics.events)],
  )
  return number
}

async function fromTheBeginning(log: Log, why: string): Promise<void> {
  for (const topic of [topics.events, topics.commands]) {
    for (let partition = 0; partition < log.partitions(topic); partition++) {
      const { earliest } = await log.range(topic, partition)
      if (earliest === 0) continue
      throw new StartError(
        `${why}, but the log holds ${topic}/${partition} only from ${earliest} on: restore the database that belongs to the log, or start with a new log`,
      )
    }
  }
}

async function strange(db: Database, log: Log, present: Epoch): Promise<StartError> {
  const [old] = await db.transaction((sql) =>
    sql.query<Epoch>('select number, id from log_epochs where id = $1', [log.epoch]),
  )
  if (old !== undefined) {
    return new StartError(
      `this log is epoch ${old.number} of the database, which has gone on to epoch ${present.number} (log ${present.id}): start with that log`,
    )
  }
  return new StartError(
    `this log (${log.epoch}) is not the one the database was written from (${present.id}): start with that log, or, once it is projected to its end or lost for good, run \`npm run new-epoch\``,
  )
}

/** [R1] Another number of partitions would give conversations other places: that takes a new epoch. */
async function checkPartitions(db: Database, log: Log, present: Epoch): Promise<void> {
  const [row] = await db.transaction((sql) =>
    sql.query<{ partitions: number }>(
      'select count(*)::int as partitions from partition_checkpoints where epoch = $1',
      [present.number],
    ),
  )
  const partitions = log.partitions(topics.events)
  if (row?.partitions === partitions) return
  throw new StartError(
    `the log has ${partitions} partitions, the database was written with ${row?.partitions ?? 0}: a change of their number takes a drain and a new log, begun with \`npm run new-epoch\``,
  )
}
