import { databaseContract } from './database.ts'
import { startEmbeddedServer } from './database-embedded-server.ts'

databaseContract('the embedded PostgreSQL', { breakable: true, start: () => startEmbeddedServer() })
