import { Migration } from '@mikro-orm/migrations'
import { schema001 } from './schema-001.sql.ts'

export class FirstSchema extends Migration {
  override up(): void {
    for (const statement of schema001) this.addSql(statement)
  }
}
