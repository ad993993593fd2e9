/** The parts of a table that is hash-partitioned by conversation. */
function partsOf(table: string): string[] {
  return Array.from(
    { length: 16 },
    (_, n) =>
      `create table ${table}_${n} partition of ${table} for values with (modulus 16, remainder ${n})`,
  )
}

/** The first schema. A migration never changes once it has been released. */
export const schema001 = [
  /* Accounts: written by chat-service. */
  `create table users (
     id uuid primary key,
     username text not null unique,
     display_name text not null,
     created_at timestamptz not null default now()
   )`,
  /* Search by the beginning of either name. */
  `create index users_username_prefix on users (username text_pattern_ops)`,
  `create index users_display_name_prefix on users (lower(display_name) text_pattern_ops)`,
  `create table credentials (
     user_id uuid primary key references users on delete cascade,
     password_hash text not null,
     changed_at timestamptz not null default now()
   )`,
  /* One row a login. The refresh token is derived from the row and the server's secret; none is stored. */
  `create table sessions (
     id uuid primary key,
     user_id uuid not null references users on delete cascade,
     device text,
     created_at timestamptz not null default now(),
     used_at timestamptz not null default now(),
     expires_at timestamptz not null,
     refresh_number int not null default 0,
     rotated_at timestamptz not null default now(),
     revoked_at timestamptz
   )`,
  `create index sessions_user on sessions (user_id)`,
  /* code_hash: SHA-256 of the code. created_by is null for whoever runs the server. */
  `create table invites (
     code_hash bytea primary key,
     created_at timestamptz not null,
     expires_at timestamptz not null,
     uses_left int not null check (uses_left >= 0),
     created_by uuid references users on delete set null
   )`,
  /* private_key is encrypted under PARLEY_KEY_SECRET. */
  `create table signing_keys (
     kid text primary key,
     public_jwk jsonb not null,
     private_key bytea not null,
     created_at timestamptz not null default now(),
     signs_from timestamptz not null,
     retired_at timestamptz
   )`,

  /* The log's identities ([R15]): number rises, the last one is the present. */
  `create table log_epochs (
     number int primary key check (number > 0),
     id uuid not null unique,
     begun_at timestamptz not null default now()
   )`,
  /*
   * [R4] E = (epoch, next_event); S = (epoch, up_to_offset, up_to_index), the first position not covered. A row a
   * partition, all of them from the first start on. Updated many times a second: room in the page keeps that in place.
   */
  `create table partition_checkpoints (
     partition int primary key,
     epoch int not null references log_epochs,
     next_event bigint not null,
     up_to_offset bigint not null,
     up_to_index int not null
   ) with (fillfactor = 10)`,
  /* How far the cursors log has been applied: the next offset to read, of that epoch. A row once something was. */
  `create table cursor_checkpoints (
     partition int primary key,
     epoch int not null references log_epochs,
     next_cursor bigint not null
   ) with (fillfactor = 10)`,

  /*
   * Conversations: written by storage-worker only. last_* is the position of the command of the event at head, last_at
   * that event's time. Wide columns first leave no padding.
   */
  `create table conversations (
     head bigint not null check (head > 0),
     last_at bigint not null,
     last_offset bigint not null,
     created_at bigint not null,
     last_epoch int not null,
     last_index int not null,
     member_count int not null check (member_count >= 0),
     id uuid primary key,
     kind text not null check (kind in ('direct', 'group', 'channel')),
     history text not null check (history in ('all', 'joined')),
     title text,
     created_hash bytea not null
   ) with (fillfactor = 70)`,
  /*
   * from_seq: the first seq that the member may see; joined_seq: the event that made it one; read_seq never passes the
   * conversation's head.
   */
  `create table members (
     from_seq bigint not null,
     joined_seq bigint not null,
     read_seq bigint not null default 0,
     conversation_id uuid not null references conversations on delete cascade,
     user_id uuid not null,
     role text not null check (role in ('owner', 'admin', 'member')),
     primary key (conversation_id, user_id)
   ) with (fillfactor = 80)`,
  `create index members_user on members (user_id)`,
  /*
   * Every sequenced event is a row. kind is a number of eventKindCodes; body is the MessagePack of the event's body as
   * readers get it, null where there is none or it was deleted; hash and the position are the command's ([R7], [R8]).
   * A message's row holds its present state too: present_body and edited_at are its last edit's, deleted_seq its
   * delete's, and what is deleted has no body, neither here nor in the rows of its edits.
   */
  `create table messages (
     seq bigint not null,
     at bigint not null,
     command_offset bigint not null,
     edited_at bigint,
     deleted_seq bigint,
     command_index int not null,
     epoch int not null,
     kind smallint not null,
     conversation_id uuid not null,
     id uuid not null,
     sender uuid not null,
     target uuid,
     hash bytea not null,
     body bytea,
     present_body bytea,
     primary key (conversation_id, seq),
     unique (conversation_id, id)
   ) partition by hash (conversation_id)`,
  /* Messages alone, kind 1: what pages of them, the last one and counts of unread ones read. */
  `create index messages_shown on messages (conversation_id, seq) where kind = 1`,
  /* What was said about a message: its edits, to erase with it. */
  `create index messages_target on messages (conversation_id, target) where target is not null`,
  ...partsOf('messages'),
  /*
   * Reactions that stand, by the seq of their message; seq is that of the reaction. emoji is UTF-8 in bytes, since it may
   * hold any character, which text may not.
   */
  `create table reactions (
     message_seq bigint not null,
     seq bigint not null,
     conversation_id uuid not null,
     user_id uuid not null,
     emoji bytea not null,
     primary key (conversation_id, message_seq, emoji, user_id)
   ) partition by hash (conversation_id)`,
  ...partsOf('reactions'),
  /* Their numbers, so that a page of messages costs the same however many they are; first_seq is the oldest one's. */
  `create table reaction_totals (
     message_seq bigint not null,
     first_seq bigint not null,
     conversation_id uuid not null,
     count int not null check (count > 0),
     emoji bytea not null,
     primary key (conversation_id, message_seq, emoji)
   ) partition by hash (conversation_id)`,
  'create index reaction_totals_order on reaction_totals (conversation_id, message_seq, first_seq)',
  ...partsOf('reaction_totals'),
]
