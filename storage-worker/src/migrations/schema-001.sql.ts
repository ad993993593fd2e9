/** The first schema. A migration never changes once it has been released. */
export const schema001 = [
  /* Accounts: written by chat-service. */
  `create table users (
     id uuid primary key,
     username text not null unique,
     display_name text not null,
     created_at timestamptz not null default now()
   )`,
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
     number int primary key,
     id uuid not null unique,
     begun_at timestamptz not null default now()
   )`,
  /* [R4] E = (epoch, next_event); S = (epoch, up_to_offset, up_to_index), the first position not covered. */
  `create table partition_checkpoints (
     partition int primary key,
     epoch int not null references log_epochs,
     next_event bigint not null,
     up_to_offset bigint not null,
     up_to_index int not null
   )`,

  /* Conversations: written by storage-worker only. */
  `create table conversations (
     id uuid primary key,
     kind text not null,
     title text,
     history text not null,
     partition int not null,
     head bigint not null,
     last_at bigint not null,
     last_epoch int not null,
     last_offset bigint not null,
     last_index int not null,
     created_at bigint not null,
     created_hash bytea not null,
     member_count int not null
   )`,
  `create table members (
     conversation_id uuid not null references conversations on delete cascade,
     user_id uuid not null,
     role text not null,
     from_seq bigint not null,
     joined_seq bigint not null,
     read_seq bigint not null default 0,
     primary key (conversation_id, user_id)
   )`,
  `create index members_user on members (user_id)`,
  /*
   * Every sequenced event is a row. body is the MessagePack of the event's body as readers get it, null once
   * deleted; hash, offset and index are those of the command ([R7], [R8]).
   */
  `create table messages (
     conversation_id uuid not null,
     seq bigint not null,
     id uuid not null,
     kind smallint not null,
     sender uuid not null,
     at bigint not null,
     target uuid,
     body bytea,
     hash bytea not null,
     epoch int not null,
     command_offset bigint not null,
     command_index int not null,
     primary key (conversation_id, seq),
     unique (conversation_id, id)
   ) partition by hash (conversation_id)`,
  ...Array.from(
    { length: 16 },
    (_, n) =>
      `create table messages_${n} partition of messages for values with (modulus 16, remainder ${n})`,
  ),
]
